#!/usr/bin/env bash
# export.sh PYTHON FOLDER: makes the packages that package_test.cpp reads.
set -euo pipefail
python=$1
mkdir -p "$2"
folder=$(cd "$2" && pwd)
export TORCHINDUCTOR_CACHE_DIR="$folder/cache"
cd "$(dirname "$0")"
export_reward="../../../script/export_reward"
"$python" "$export_reward" judges:words "$folder/words.pt2" --size 6 8 --tokens 4 --dtype float64
"$python" "$export_reward" judges:edges "$folder/edges.pt2" --size 6 8
"$python" "$export_reward" judges:edges "$folder/black_box.pt2" --size 6 --no-gradient
