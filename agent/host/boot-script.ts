import { modeFile } from './mode-file.ts'

/**
 * The script that the host runs at its start, in a shell as POSIX describes it. Its data are beside it, under its own
 * name without `.sh`. It ends with 0 whatever happens: a unit that fails would help nobody.
 */
export const bootScript = String.raw`#!/bin/sh
# Written by node-firewall. Brings back the last confirmed rules before the network is up; the agent takes over later.
LC_ALL=C
PATH=$PATH:/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin:/run/current-system/sw/bin
export LC_ALL PATH
file=${'$'}{0%.sh}

say() { echo "node-firewall: $*"; }
give_up() { say "nothing is restored: $*"; exit 0; }
has() { command -v "$1" >/dev/null 2>&1; }
section() { sed -n "/^#$1\$/,/^#/{/^#/!p;}" "$file"; }

# Both filters are in the kernel: rules in the one that the host does not use would be seen by nobody.
is_backend() {
  version=$("$1" --version 2>/dev/null) || return 1
  case $version in
    *nf_tables*) [ "$backend" = nft ] ;;
    *) [ "$backend" = legacy ] ;;
  esac
}

without_marks() {
  if [ "$1" = yes ]; then grep -v '^:node-firewall-made-'; else cat; fi
}

restore_family() {
  family=$1
  [ -n "$(section "rules $family")" ] || return 0
  restore=$2-$backend-restore
  save=$2-$backend-save
  if ! has "$restore"; then
    restore=$2-restore
    save=$2-save
    if ! is_backend "$restore"; then
      say "$family is not restored: there is neither $2-$backend-restore nor a $restore that is $backend"
      return 0
    fi
  fi
  # Without -t, which would make the table.
  saved=$("$save") || { say "$family is not restored: $save failed"; return 0; }
  if printf '%s\n' "$saved" | grep -q '^:node-firewall[ -]'; then
    say "$family is not restored: chains of node-firewall are there already"
    return 0
  fi
  if [ -n "$(section "sets $family" | head -n 1)" ]; then
    section "sets $family" | ipset -exist restore || {
      say "$family is not restored: its sets cannot be made"
      return 0
    }
  fi
  # A table that is there is not made by us.
  if printf '%s\n' "$saved" | grep -q '^\*filter$'; then has_table=yes; else has_table=no; fi
  if section "rules $family" | without_marks "$has_table" | "$restore" --noflush --wait=10; then
    say "$family is restored with $restore"
  else
    say "$family is not restored: $restore refused the rules"
  fi
}

# Whoever has switched the node off there while no agent ran, and starts it anew, must not meet the rules again.
mode=${'$'}{file%/*}/${modeFile}
if [ -f "$mode" ]; then
  ordered=$(head -c 64 "$mode" | tr -d '[:space:]')
  case $ordered in
    off | audit) give_up "$mode says $ordered" ;;
  esac
fi
[ -f "$file" ] || give_up "there is no $file"
has sha256sum || give_up "there is no sha256sum to check $file with"
wanted=$(sed -n '1s/.*"sha256":"\([0-9a-f]*\)".*/\1/p' "$file")
found=$(tail -n +2 "$file" | sha256sum | cut -d ' ' -f 1)
[ "$wanted" = "$found" ] || give_up "$file is damaged: its SHA-256 is $found, expected ${'$'}{wanted:-one in the first line}"
backend=$(sed -n '2s/^#backend //p' "$file")
case $backend in
  nft | legacy) ;;
  *) give_up "$file names no backend that is known: $backend" ;;
esac
restore_family ipv4 iptables
restore_family ipv6 ip6tables
exit 0
`
