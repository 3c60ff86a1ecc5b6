#!/usr/bin/env bash
# What the emulated device must say to each planted bug, by build: plain, address,undefined or thread.
#   test_planted_bugs.sh build/emulate/tests/cuda/planted_bugs [sanitizers]
# quiet: exit 0; error: the emulator's own report; numbers: a NaN or a wrong sum; fault: a guarded page was touched;
# race, asan, ubsan: a sanitizer's report.
set -uo pipefail
program=$1
case ${2:-plain} in
  plain) column=2 ;;
  address*) column=3 ;;
  thread) column=4 ;;
  *) echo "unknown build $2" >&2; exit 1 ;;
esac
export ASAN_OPTIONS=exitcode=11:detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 TSAN_OPTIONS=exitcode=13:report_bugs=1
failed=0 caught=0
while IFS='|' read -r name plain address thread; do
  [ -z "$name" ] && continue
  name=$(echo $name)
  expected=$(echo "$name|$plain|$address|$thread" | cut -d'|' -f$column | xargs)
  number=$("$program" | grep " $name\$" | cut -d' ' -f1)
  if [ -z "$number" ]; then echo "no planted bug is called '$name'"; failed=1; continue; fi
  report=$("$program" "$number" 2>&1)
  code=$?
  case $code in
    0) said=quiet ;;
    2) said=error ;;
    3) said=numbers ;;
    11) said=asan ;;
    13) said=race ;;
    134 | 139) said=fault ;;
    *) said="exit $code" ;;
  esac
  if [ $code = 1 ] && echo "$report" | grep -q "runtime error:"; then said=ubsan; fi
  [ "$said" != quiet ] && caught=$((caught + 1))
  if [ "$said" != "$expected" ]; then
    printf '%-32s expected %s, got %s\n%s\n' "$name" "$expected" "$said" "$report"
    failed=1
  else
    printf '%-32s %-8s %s\n' "$name" "$said" "$(echo "$report" | grep -m1 -E 'emulator:|[a-z]:|SUMMARY' | cut -c1-110)"
  fi
done <<'TABLE'
correct                       | quiet   | quiet   | quiet
no barrier in a reduction     | numbers | numbers | race
no barrier before a read      | numbers | numbers | race
write after read              | numbers | numbers | race
no syncwarp                   | numbers | numbers | race
shuffle taken for a fence     | quiet   | quiet   | race
blocks add without an atomic  | quiet   | quiet   | race
barrier in a branch           | error   | error   | error
return before a barrier       | error   | error   | error
barrier in an uneven loop     | error   | error   | error
full mask in a partial warp   | error   | error   | error
full mask in a branch         | error   | error   | error
shared write past the end     | error   | asan    | race
index past an inner bound     | error   | ubsan   | race
global write past the end     | fault   | asan    | quiet
global read past the end      | fault   | asan    | quiet
shared memory never written   | numbers | numbers | numbers
misaligned vector load        | quiet   | ubsan   | quiet
too much shared memory        | error   | error   | error
grid barrier in its place     | quiet   | quiet   | quiet
no grid barrier               | numbers | numbers | race
grid barrier in half of the blocks | error | error | error
grid barrier in half of a block | error | error | error
grid barriers in two places   | error   | error   | error
grid barrier without cooperation | error | error | error
wait in its place             | quiet   | quiet   | quiet
read before the wait          | fault   | asan    | quiet
no wait                       | error   | error   | error
wait in half of a block       | error   | error   | error
barrier in the other half     | error   | error   | error
overlap with a memset         | error   | error   | error
kernel given a host pointer   | error   | error   | error
host code reads device memory | fault   | asan    | quiet
kernel given freed memory     | error   | error   | error
TABLE
echo "$caught planted bugs reported"
exit $failed
