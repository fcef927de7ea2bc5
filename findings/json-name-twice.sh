#!/usr/bin/env bash
# A JSON object that has a name twice is valid by RFC 8259 (names SHOULD be unique), and Python's json and every JSON.parse take the last.
# The tools that a bucket of JSON records is read with: duckdb 2.0.1, polars 2.1.0, pyarrow 26.0.1. Guess before: each of them either
# refuses it or takes the last, and does so everywhere.
#   - duckdb: ->> (json_extract_string) and from_json take the first. read_json refuses the file; with ignore_errors=true it does not pass over
#     the record, but takes the first.
#   - polars: json_path_match takes the last; json_decode of the same text and read_ndjson the first. Where the object is
#     nested, read_ndjson without a schema refuses the file.
#   - pyarrow refuses.
# So the one record is one thing to the program that wrote it and to Python, and another to most queries; with polars the
# function decides. To two readers one such record makes its whole file unreadable.
#
# Seen 2026-11-30, the team in {"id":"call-1","team":"first","team":"last"}, or of {"call":{...}} where it says nested:
#   python json                    last
#   duckdb ->>                     first
#   duckdb from_json               first
#   duckdb read_json               InvalidInputException
#   duckdb read_json, ignoring     first
#   polars json_path_match         last
#   polars json_decode             first
#   polars read_ndjson             first
#   polars read_ndjson, nested     DuplicateError
#   pyarrow read_json              ArrowInvalid
set -euo pipefail
self=$(realpath "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet 'duckdb==2.0.1' 'polars==2.1.0' 'pyarrow==26.0.1' >pip.txt 2>&1 || { cat pip.txt >&2; exit 1; }
timeout 120 venv/bin/python - >seen.txt <<'PY'
import json
import duckdb, polars, pyarrow.json
record = '{"id":"call-1","team":"first","team":"last"}'
with open("records.ndjson", "w") as f:
    f.write(record + "\n")
with open("nested.ndjson", "w") as f:
    f.write('{"call":%s}\n' % record)
one = lambda sql, *args: duckdb.execute(sql, args).fetchall()[0][0]
for what, read in (
    ("python json", lambda: json.loads(record)["team"]),
    ("duckdb ->>", lambda: one("select ?::json->>'$.team'", record)),
    ("duckdb from_json", lambda: one("""select from_json(?, '{"team":"VARCHAR"}').team""", record)),
    ("duckdb read_json", lambda: one("select team from read_json('records.ndjson')")),
    ("duckdb read_json, ignoring", lambda: one("select team from read_json('records.ndjson', ignore_errors=true)")),
    ("polars json_path_match", lambda: polars.Series([record]).str.json_path_match("$.team")[0]),
    ("polars json_decode", lambda: polars.Series([record]).str.json_decode(polars.Struct({"team": polars.String}))[0]["team"]),
    ("polars read_ndjson", lambda: polars.read_ndjson("records.ndjson")["team"][0]),
    ("polars read_ndjson, nested", lambda: polars.read_ndjson("nested.ndjson")["call"][0]["team"]),
    ("pyarrow read_json", lambda: pyarrow.json.read_json("records.ndjson")["team"][0]),
):
    try:
        got = read()
    except Exception as e:
        got = type(e).__name__
    print(f"{what:<30} {got}")
PY
cat seen.txt
sed -n '/^# Seen/,/^set/s/^#   //p' "$self" | diff - seen.txt
