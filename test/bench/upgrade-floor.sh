#!/bin/bash
# A guest passes from one QEMU to another on one memory file, with nothing around it: what `broker-ctl vm upgrade` is measured
# against. upgrade-floor.sh shared|cpr FILE BYTES QEMU ARGUMENT...
#   shared   migration that leaves shared memory out (x-ignore-shared)
#   cpr      QEMU's own cpr-transfer
# Each line of input is an upgrade, answered with "done". The end of input ends QEMU.
set -eu
mode=$1 file=$2 bytes=$3 qemu=$4
shift 4
arguments=("$@")
folder=$(mktemp -d)
new=
old=
trap 'kill -9 $old $new 2>/dev/null; rm -r "$folder"' EXIT
count=0

machine=memory-backend=ram
[ "$mode" = cpr ] && machine+=,aux-ram-share=on

# A QEMU, its monitor in two FIFOs. Sets pid, and the descriptors to and from.
start() {
  count=$((count + 1))
  local monitor=$folder/monitor-$count
  mkfifo "$monitor.in" "$monitor.out"
  # A session of its own, as broker-ctl gives it: the kernel may share the processors among sessions.
  setsid "$qemu" -chardev "pipe,id=monitor,path=$monitor" -mon chardev=monitor,mode=control -m "${bytes}b" \
    -object "memory-backend-file,id=ram,size=$bytes,mem-path=$file,share=on" -machine "$machine" \
    "${arguments[@]}" "$@" </dev/null >&2 &
  pid=$!
  exec {to}<>"$monitor.in" {from}<>"$monitor.out"
  echo '{"execute":"qmp_capabilities"}' >&$to
}

# Reads what a QEMU says up to a line.
await() {
  local line
  while read -r line <&"$1"; do
    case $line in
      *'"error"'*) echo "$line" >&2 && exit 1 ;;
      *$2*) return ;;
    esac
  done
}

tell() {
  echo "$3" >&"$1"
  await "$2" '"return"'
}

capabilities='{"execute":"migrate-set-capabilities","arguments":{"capabilities":[{"capability":"events","state":true}'
[ "$mode" = shared ] && capabilities+=',{"capability":"x-ignore-shared","state":true}'
capabilities+=']}}'
bandwidth='{"execute":"migrate-set-parameters","arguments":{"max-bandwidth":1099511627776}}'
completed='"status": "completed"'
main=$folder/main
cpr=$folder/cpr

upgrade_shared() {
  start -incoming defer
  new=$pid
  await $from '"return"'
  tell $to $from "$capabilities"
  tell $to $from '{"execute":"migrate-incoming","arguments":{"uri":"unix:'$main'"}}'
  tell $old_to $old_from '{"execute":"migrate","arguments":{"uri":"unix:'$main'"}}'
}

upgrade_cpr() {
  start -incoming "unix:$main" -incoming \
    '{"channel-type":"cpr","addr":{"transport":"socket","type":"unix","path":"'$cpr'"}}'
  new=$pid
  until [ -S "$cpr" ]; do sleep 0.01; done
  tell $old_to $old_from '{"execute":"migrate-set-parameters","arguments":{"mode":"cpr-transfer"}}'
  tell $old_to $old_from '{"execute":"migrate","arguments":{"channels":[
    {"channel-type":"main","addr":{"transport":"socket","type":"unix","path":"'$main'"}},
    {"channel-type":"cpr","addr":{"transport":"socket","type":"unix","path":"'$cpr'"}}]}}'
}

# What the old QEMU's monitor needs before a later upgrade.
keep() {
  old=$pid old_to=$to old_from=$from
  tell $to $from "$capabilities"
  tell $to $from "$bandwidth"
}

start
await $from '"return"'
keep
while read -r _; do
  upgrade_$mode
  await $old_from "$completed"
  kill -9 "$old"
  wait "$old" 2>/dev/null || true
  exec {old_to}>&- {old_from}>&-
  [ "$mode" = cpr ] && await $from '"return"'
  await $from RESUME
  rm -f "$main" "$cpr"
  new=
  keep
  echo done
done
