-- Packs in Trino with the Hive connector (catalog hive). Put your bucket and prefix in place of s3://BUCKET/PREFIX. This file is not run
-- by our tests; the same Parquet is, by DuckDB, Spark and five others (docs/format/pack.md).
create table hive.default.audit (
  log varchar, seq bigint, "time" timestamp(6), time_ns bigint, door varchar, source varchar, bucket varchar, key varchar, sent_key varchar,
  size bigint, sha256 varchar, attrs_sha256 varchar, content_type varchar, headers varchar,
  id varchar, call_id varchar, trace_id varchar, parent_id varchar, provider varchar, model varchar, served_model varchar, model_group varchar,
  api_base varchar, call_type varchar, stream boolean, status varchar, error_code varchar, error_class varchar, error_message varchar,
  finish_reason varchar, ended_by varchar, "start" timestamp(6), "end" timestamp(6), first_token timestamp(6),
  team varchar, team_id varchar, key_alias varchar, key_hash varchar, "user" varchar, end_user varchar,
  tokens_in bigint, tokens_out bigint, tokens_cached bigint, tokens_reasoning bigint, cost double, tags array(varchar), user_agent varchar,
  extra varchar, body varbinary, dt date, hour integer)
with (format = 'PARQUET', external_location = 's3://BUCKET/PREFIX/packs/', partitioned_by = array['dt', 'hour']);

-- After new hours have come:
call hive.system.sync_partition_metadata('default', 'audit', 'ADD');

-- Cost by team of one day.
select team, count(*) as n, sum(cost) as cost from hive.default.audit where dt = date '2026-11-29' group by team order by cost desc;

-- One record: its number by its id, then its body by its number.
select seq, dt, hour from hive.default.audit where dt >= date '2026-11-28' and id = 'chatcmpl-…';
select json_extract_scalar(from_utf8(body), '$.model') from hive.default.audit where dt = date '2026-11-29' and seq = 7234;

-- Every digest computed again: 0 is right.
select count(*) from hive.default.audit where body is not null and lower(to_hex(sha256(body))) <> sha256;
