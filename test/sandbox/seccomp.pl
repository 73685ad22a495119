# perl seccomp.pl PROGRAM ARGUMENT... runs a program that is refused what the default profiles of container runtimes
# refuse to those without CAP_SYS_ADMIN and the like: seccomp(2), struct seccomp_data. Takes no_new_privs.
use strict;
use POSIX ();

my $is_arm = (POSIX::uname())[4] eq 'aarch64';
my ($architecture, $prctl, $clone, $clone3) = $is_arm ? (0xc00000b7, 167, 220, 435) : (0xc000003e, 157, 56, 435);

# Numbers on x86_64 and on aarch64.
my %refused = (
  setns => [308, 268], unshare => [272, 97], mount => [165, 40], umount2 => [166, 39], pivot_root => [155, 41],
  chroot => [161, 51], bpf => [321, 280], perf_event_open => [298, 241], syslog => [103, 116],
  init_module => [175, 105], finit_module => [313, 273], delete_module => [176, 106],
  open_by_handle_at => [304, 265], kcmp => [312, 272], process_vm_readv => [310, 270],
  process_vm_writev => [311, 271], add_key => [248, 217], request_key => [249, 218], keyctl => [250, 219],
  userfaultfd => [323, 282], io_uring_setup => [425, 425], pidfd_getfd => [438, 438], fsopen => [430, 430],
  fsmount => [432, 432], move_mount => [429, 429], open_tree => [428, 428], mount_setattr => [442, 442],
);
my ($allow, $eperm, $enosys) = (0x7fff0000, 0x00050001, 0x00050026);
my $new_namespaces = 0x7e020000;

# struct sock_filter: code, jt, jf, k
sub statement { pack 'S C C L', @_ }
sub load { statement(0x20, 0, 0, $_[0]) }
sub give { statement(0x06, 0, 0, $_[0]) }
sub unless_equal_skip { statement(0x15, 0, $_[1], $_[0]) }

my @filter = (
  load(4), statement(0x15, 1, 0, $architecture), give($eperm), load(0),
  (map { (unless_equal_skip($_->[$is_arm], 1), give($eperm)) } values %refused),
  unless_equal_skip($clone3, 1), give($enosys),
  unless_equal_skip($clone, 3), load(16), statement(0x45, 0, 1, $new_namespaces), give($eperm),
  give($allow),
);
my $filter = join '', @filter;
my $program = pack 'S x6 P', scalar @filter, $filter;
# PR_SET_SECCOMP, SECCOMP_MODE_FILTER
syscall($prctl, 22, 2, $program, 0, 0) == 0 or die "seccomp: $!\n";
exec @ARGV or die "$ARGV[0]: $!\n";
