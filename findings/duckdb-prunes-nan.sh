#!/usr/bin/env bash
# duckdb 2.0.1 does not find NaN in a Parquet file that pyarrow 26.0.1 wrote. The Parquet format has NaN left out of a column chunk's minimum
# and maximum, and says that a reader who looks for NaN must not go by them; duckdb, for which NaN is greater than every number, does.
# Guess before: the same rows and the same query give the same count, whoever wrote the file.
# isnan(cost), cost = 'nan' and cost > 3 find nothing, since the maximum is 3; cost > 2 reads the rows, and then counts the NaN. It is more
# than a row group that is passed over: "select cost, isnan(cost)" gives the row "nan, false". A file that duckdb wrote itself has no
# statistics where there is a NaN, and all are right. So a search for the calls whose cost could not be computed
# says that there are none. read_parquet has can_have_nan=true for it (known as duckdb/duckdb#25521; a file that counts its NaNs needs
# no option, and pyarrow's does not).
#
# Seen 2026-11-30, how many of the rows 1, NaN, 3 match, in duckdb's own file and in pyarrow's:
#   cost > 2                     2 2
#   cost > 3                     1 0
#   cost = 'nan'                 1 0
#   isnan(cost)                  1 0
#   isnan(cost::varchar::double) 1 1
#   second row                   (nan, True) (nan, False)
#   second row, can_have_nan     (nan, True) (nan, True)
set -euo pipefail
self=$(realpath "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet 'duckdb==2.0.1' 'pyarrow==26.0.1' >pip.txt 2>&1 || { cat pip.txt >&2; exit 1; }
timeout 60 venv/bin/python - >seen.txt <<'PY'
import duckdb, pyarrow, pyarrow.parquet
calls = pyarrow.table({"cost": [1.0, float("nan"), 3.0]})
pyarrow.parquet.write_table(calls, "pyarrow.parquet")
duckdb.sql("copy (from calls) to 'duckdb.parquet'")
for where in "cost > 2", "cost > 3", "cost = 'nan'", "isnan(cost)", "isnan(cost::varchar::double)":
    print(f"{where:<28}", *(duckdb.sql(f"select count(*) from '{file}.parquet' where {where}").fetchall()[0][0] for file in ("duckdb", "pyarrow")))
for what, option in ("second row", ""), ("second row, can_have_nan", ", can_have_nan=true"):
    print(f"{what:<28}", *(duckdb.sql(f"select cost, isnan(cost) from read_parquet('{file}.parquet'{option})").fetchall()[1] for file in ("duckdb", "pyarrow")))
PY
cat seen.txt
sed -n '/^# Seen/,/^set/s/^#   //p' "$self" | diff - seen.txt
