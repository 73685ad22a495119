#!/usr/bin/perl
# Sends packets byte by byte as they are given, one a line of standard input, in hexadecimal: whole IP packets, which the
# kernel routes, or after the name of an interface whole Ethernet frames. Node.js has no raw sockets; Debian always has
# this much of Perl (perl-base).
use strict;
use warnings;
use Socket qw(AF_INET AF_INET6 SOCK_RAW pack_sockaddr_in pack_sockaddr_in6);

my $AF_PACKET      = 17;
my $IPPROTO_RAW    = 255;
my $SIOCGIFINDEX   = 0x8933;
my %sockets;

sub open_socket {
  my ($family, $protocol) = @_;
  $sockets{$family} //= do { socket(my $new, $family, SOCK_RAW, $protocol) or die "opening a raw socket: $!\n"; $new };
}

sub send_packet {
  my ($bytes) = @_;
  my $is_ipv4 = unpack('C', $bytes) >> 4 == 4;
  my $address = $is_ipv4 ? substr $bytes, 16, 4 : substr $bytes, 24, 16;
  my $target  = $is_ipv4 ? pack_sockaddr_in(0, $address) : pack_sockaddr_in6(0, $address);
  send open_socket($is_ipv4 ? AF_INET : AF_INET6, $IPPROTO_RAW), $bytes, 0, $target;
}

sub send_frame {
  my ($interface, $bytes) = @_;
  my $socket = open_socket($AF_PACKET, 0);
  my $request = pack 'a16 x24', $interface;
  ioctl($socket, $SIOCGIFINDEX, $request) or die "looking for the interface $interface: $!\n";
  my $index = unpack 'x16 i', $request;
  send $socket, $bytes, 0, pack('S n i S C C a8', $AF_PACKET, 0, $index, 0, 0, 6, substr $bytes, 0, 6);
}

while (my $line = <STDIN>) {
  my ($hex, $interface) = reverse split ' ', $line;
  my $bytes = pack 'H*', $hex;
  my $sent = defined $interface ? send_frame($interface, $bytes) : send_packet($bytes);
  defined $sent or die "sending line $.: $!\n";
}
