#!/usr/bin/env bash
# Compiles src/fused_kernels.cu to assembly for one kind of card, against the headers of any LibTorch, looks for its
# kernels, and checks src/cuda_graph.cpp against the same headers. Exit code 3 (ctest: skipped) with a compiler without
# C++20. cuda_kernels.sh NVCC TORCH_INCLUDE WORK CXX
set -euo pipefail
nvcc=$1 torch=$2 work=$3 compiler=$4
cd "$(dirname "$0")/../.."
fail() { printf 'cuda_kernels.sh: %s\n' "$*" >&2; exit 1; }
[[ $("$nvcc" --help) == *c++20* ]] || { echo "expected an nvcc with C++20, got an older one"; exit 3; }
rm -rf "$work"
mkdir -p "$work/c10/cuda/impl"
# what a CUDA build generates and a CPU build leaves out
[ -e "$torch/c10/cuda/impl/cuda_cmake_macros.h" ] ||
  printf '#pragma once\n#define C10_CUDA_BUILD_SHARED_LIBS\n' >"$work/c10/cuda/impl/cuda_cmake_macros.h"
"$nvcc" -ptx -arch=compute_80 -std=c++20 --expt-relaxed-constexpr -ccbin "$compiler" -I. -Iinclude -I"$work" \
  -isystem "$torch" -isystem "$torch/torch/csrc/api/include" src/fused_kernels.cu -o "$work/kernels.ptx" \
  2>"$work/log" || fail "$(cat "$work/log")"
! grep -i warning "$work/log" || fail "expected no warning of the compiler"
# float, bfloat16 and half; three widths of a pack, two of an index; and for images two layouts
for wanted in "group_norm_silu_kernel 36" "geglu_kernel 18"; do
  got=$(grep -c "\.entry .*${wanted% *}" "$work/kernels.ptx" || true)
  [ "$got" -eq "${wanted#* }" ] || fail "expected $wanted times, got $got"
done
toolkit=$("$nvcc" --dryrun -x cu /dev/null -o "$work/none" 2>&1 | sed -n 's/.* INCLUDES="-I\([^" ]*\).*/\1/p')
"$compiler" -std=c++20 -Wall -Wextra -fsyntax-only -DREWARD_TUNER_CUDA -I. -Iinclude -I"$work" -isystem "$torch" \
  -isystem "$torch/torch/csrc/api/include" -isystem "$toolkit" src/cuda_graph.cpp 2>"$work/graph.log" ||
  fail "$(cat "$work/graph.log")"
! grep -i warning "$work/graph.log" || fail "expected no warning of the compiler"
