#!/usr/bin/perl
# Sends datagrams until they have taken so many milliseconds of CPU time, and prints how many nanoseconds one has taken.
# They go to the addresses on standard input in turn. Where the sender's own OUTPUT drops them, all that happens to a
# datagram happens inside send(2), so that the CPU time of this process is its whole cost. Needs perl-base only.
use strict;
use warnings;
use POSIX  qw(clock);
use Socket qw(AF_INET AF_INET6 SOCK_DGRAM inet_pton pack_sockaddr_in pack_sockaddr_in6);

my ($milliseconds) = @ARGV;
my $family = AF_INET;
my @targets = map {
  chomp;
  $family = AF_INET6 if /:/;
  /:/ ? pack_sockaddr_in6(9, inet_pton(AF_INET6, $_)) : pack_sockaddr_in(9, inet_pton(AF_INET, $_))
} <STDIN>;
socket(my $socket, $family, SOCK_DGRAM, 0) or die "opening a socket: $!\n";

my ($batch, $sent, $next) = (200, 0, 0);
my $start = clock;
my $now   = $start;
while ($now - $start < $milliseconds * 1000) {
  for (1 .. $batch) {
    send $socket, 'datagram', 0, $targets[$next];
    $next = 0 if ++$next == @targets;
  }
  $sent += $batch;
  $now = clock;
}
printf "%.1f\n", ($now - $start) * 1000 / $sent;
