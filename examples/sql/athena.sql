-- Packs in Athena. Put your bucket and prefix in place of s3://BUCKET/PREFIX. Partitions are projected from the path, so that
-- nothing has to be added when packs come. This file is not run by our tests; the same Parquet
-- is, by DuckDB, Spark and five others (docs/format/pack.md).
create external table audit (
  log string, seq bigint, `time` timestamp, time_ns bigint, door string, source string, bucket string, key string, sent_key string,
  size bigint, sha256 string, attrs_sha256 string, content_type string, headers string,
  id string, call_id string, trace_id string, parent_id string, provider string, model string, served_model string, model_group string,
  api_base string, call_type string, stream boolean, status string, error_code string, error_class string, error_message string,
  finish_reason string, ended_by string, `start` timestamp, `end` timestamp, first_token timestamp,
  team string, team_id string, key_alias string, key_hash string, `user` string, end_user string,
  tokens_in bigint, tokens_out bigint, tokens_cached bigint, tokens_reasoning bigint, cost double, tags array<string>, user_agent string,
  extra string, body binary)
partitioned by (dt date, hour int)
stored as parquet
location 's3://BUCKET/PREFIX/packs/'
tblproperties (
  'projection.enabled' = 'true',
  'projection.dt.type' = 'date', 'projection.dt.format' = 'yyyy-MM-dd', 'projection.dt.range' = '2026-01-01,NOW',
  'projection.hour.type' = 'integer', 'projection.hour.range' = '0,23',
  'storage.location.template' = 's3://BUCKET/PREFIX/packs/dt=${dt}/hour=${hour}/');

-- Cost by team of one day.
select team, count(*) as n, sum(cost) as cost, sum(tokens_in) as tokens_in, sum(tokens_out) as tokens_out
from audit where dt = date '2026-11-29' group by team order by cost desc;

-- One record: its number by its id, then its body by its number.
select seq, dt, hour from audit where dt >= date '2026-11-28' and id = 'chatcmpl-…';
select from_utf8(body) from audit where dt = date '2026-11-29' and hour = 8 and seq = 7234;
select json_extract_scalar(from_utf8(body), '$.model') from audit where dt = date '2026-11-29' and seq = 7234;

-- Every digest computed again: 0 is right.
select count(*) from audit where body is not null and lower(to_hex(sha256(body))) <> sha256;
