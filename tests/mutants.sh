#!/usr/bin/env bash
# Breaks the gradient path in one place at a time and expects the tests to notice. A mutant that survives is a hole in
# the tests. Works on a copy; run outside CI (ten seconds to half a minute per mutant).
#   tests/mutants.sh [first [last]]
set -uo pipefail
cd "$(dirname "$0")/.."
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
git ls-files | xargs cp --parents -t "$copy"
cd "$copy"
cmake --preset release -DSTOPGRAD_BENCH=OFF >/dev/null && cmake --build --preset release --target unit_tests >/dev/null || exit 1
tests=./build/release/tests/unit_tests
select="[wall],[gradient],[tape],[golden],[trainer],[optimizer]"
export OMP_WAIT_POLICY=passive
timeout 300 $tests "$select" >/dev/null || { echo "the tests fail without any mutant"; exit 1; }

# file | sed expression | what is broken
mutants=(
  "models/simsiam.cpp|s/config_.stop_gradient ? detach(z) : z/z/|the wall is gone"
  "models/simsiam.cpp|s/config_.stop_gradient ? detach(z) : z/detach(z)/|the wall cannot be removed"
  "models/simsiam.cpp|s/size_t>(i)\].p, target/size_t>(i)].z, target/|the loss takes z in place of p"
  "models/simsiam.cpp|s/if (i != j) out.emplace_back(i, j)/if (i < j) out.emplace_back(i, j)/|one direction is dropped"
  "models/simsiam.cpp|s/part.z = rows(all.z, v/part.z = rows(all.z, 0 * v/|batched form mixes up its views"
  "models/simsiam.cpp|s/.groups = static_cast<int>(count)/.groups = 1/|batch norm statistics over both views"
  "engine/ops/detach.cpp|s/return x.tape->record_wall(x)/return x/|detach does nothing"
  "engine/tape.cpp|s/if (!recording()) return {x.value, this, -1};\$/return x;/|the wall is not recorded"
  "engine/tape.cpp|s/.wall = true}/.wall = true, .wants_grad = true}/|the wall asks for a gradient"
  "engine/tape.cpp|s/accumulate = whole.complete \|\| overlaps.*/accumulate = false;/|gradients overwrite each other"
  "engine/tape.cpp|s/whole.complete = std::exchange(p->has_grad, true);/p->has_grad = true;/|the second view's parameter gradient replaces the first's"
  "engine/tape.cpp|s/  fill_rest_with_zero(g);/  g.complete = true;/|rows that nobody wrote stay garbage"
  "engine/ops/linear.cpp|s/in, out, n, true, false, x.data/in, out, n - 1, true, false, x.data/|a row is left out of dw"
  "engine/ops/linear.cpp|s/grads.slot<Acc<T>>(2)/Slot<Acc<T>>{grads.slot<Acc<T>>(2).data, false}/|the bias gradient does not add"
  "engine/ops/elementwise.cpp|s/for (int i : {0, 1})/for (int i : {0, 0})/|add forgets its second input"
  "engine/ops/batch_norm.cpp|s/gamma ? 3 : 1/gamma ? 1 : 1/|the residual's gradient goes to gamma"
  "engine/ops/batch_norm.cpp|s/node->relu = with_relu/node->relu = false/|backward forgets the ReLU"
  "engine/optimizer.cpp|s/range.fixed_rate ? 1 : 0/range.fixed_rate ? 0 : 0/|the predictor's rate decays"
  "engine/optimizer.cpp|s/0.5 \* (1 + std::cos/0.5 * (1 - std::cos/|the cosine runs backwards"
  "kernels/cosine_loss.cpp|s/const A scale = \*c.dloss \/ static_cast<A>(int64_t{c.pairs} \* c.rows)/const A scale = *c.dloss \/ static_cast<A>(c.rows)/|the half is forgotten"
  "kernels/cosine_loss.cpp|s/: c \* inv_u \* inv_u \* cosine/: -c * inv_u * inv_u * cosine/|the part along p has the wrong sign"
  "kernels/sgd.cpp|s/c.momentum \* c.momentum_buffer/0 * c.momentum_buffer/|no momentum"
  "models/simsiam.cpp|s/p.trainable = false/p.trainable = true/|the fixed predictor learns"
)
first=${1:-1} last=${2:-${#mutants[@]}} killed=0 survived=0
for n in $(seq "$first" "$last"); do
  IFS='|' read -r file rest <<<"${mutants[$((n - 1))]//\\|/$'\x01'}"
  what=${rest##*|} expression=${rest%|*}
  expression=${expression//$'\x01'/\\|}
  cp "$file" original
  sed -i "$(printf '%s' "$expression" | sed 's/\\|/|/g')" "$file"
  if cmp -s "$file" original; then echo "$n NOT APPLIED: $what"; survived=$((survived + 1)); continue; fi
  if ! cmake --build --preset release --target unit_tests >build.log 2>&1; then
    echo "$n killed by the compiler: $what"; killed=$((killed + 1))
  elif timeout 300 $tests "$select" >test.log 2>&1; then
    echo "$n SURVIVED: $what ($file)"; survived=$((survived + 1))
  else
    echo "$n killed: $what, by $(grep -c '^.*FAILED:' test.log) checks"; killed=$((killed + 1))
  fi
  cp original "$file"
done
echo "$killed killed, $survived survived"
[ "$survived" -eq 0 ]
