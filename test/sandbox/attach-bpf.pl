#!/usr/bin/perl
# Loads a BPF program and puts it in its place: attach-bpf.pl CALL TYPE NAME INSTRUCTIONS (tcx INDEX | pin PATH).
# CALL is the number of bpf(2) on this machine, TYPE a number of enum bpf_prog_type, INSTRUCTIONS are in hexadecimal.
use strict;
use warnings;

my ($call, $type, $name, $hex, $where, $target) = @ARGV;
my $instructions = pack 'H*', $hex;
my $license      = "GPL\0";
my $log          = "\0" x 4096;

sub bpf {
  my ($command, $attributes) = @_;
  my $result = syscall $call, $command, $attributes, length $attributes;
  $result >= 0 or die "bpf(2), command $command: $!\n", $log =~ s/\0//gr;
  $result;
}

sub address { unpack 'Q', pack 'P', $_[0] }

my $program = bpf(5, pack 'LL QQ LLQ LL a16', $type, length($instructions) / 8, address($instructions),
  address($license), 1, length $log, address($log), 0, 0, $name);
my $path = "$target\0";
$where eq 'tcx'
  ? bpf(8, pack 'LLLLLLQ', $target, $program, 46, 0, 0, 0, 0)    # BPF_PROG_ATTACH, BPF_TCX_INGRESS
  : bpf(6, pack 'QLL', address($path), $program, 0);             # BPF_OBJ_PIN
