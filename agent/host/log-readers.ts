import { logTag, nflogGroup } from '../netfilter/log-text.ts'

/** What a reader prints first, when it is listening. */
export const readyLine = 'ready'
/** What the reader of the kernel's log prints when lines were overwritten before it came to them. */
export const gapLine = 'gap'

/** What a packet is cut to: an IPv6 header, options and the ports behind them. */
const copied = 128

/**
 * A packet is told of after half a second, or 32 at once; and the reader sleeps 0.1 s behind each time. So it wakes 10
 * times a second at the most and gets 320 packets: the kernel counts, and throws away, what comes above that.
 */
const batch = { hundredths: 50, packets: 32, bytes: 16_384, sleep: 0.1 }

/**
 * Prints the packets of a group of NFLOG, each with the names of its interfaces (`SIOCGIFNAME`), as `readNflogLine` takes
 * them. It ends when the group cannot be had. Node.js has no netlink sockets; Debian has perl in every image, its
 * package is essential. The messages are those of nfnetlink_log.h: a group is bound with a mode that copies so many
 * bytes of each packet, its packets get numbers, and where the kernel can, what conntrack knows
 * (CONFIG_NETFILTER_NETLINK_GLUE_CT). A predecessor that was just killed may hold the group for a moment.
 */
const nflogProgram = `
my($g,$copied,$bytes,$wait,$packets,$sleep)=@ARGV;$|=1;my$q=0;
socket(my$s,16,3,12)or die"a netlink socket: $!\\n";
socket(my$i,2,2,0)or die"a socket: $!\\n";
sub attr{my($t,$d)=@_;pack"SSa*x![L]",4+length$d,$t,$d}
sub ask{
  my$m=pack("CCna*",0,0,$g,join"",@_);
  defined syswrite($s,pack("LSSLLa*",16+length$m,1025,5,++$q,0,$m))or return$!+0;
  for(;;){
    defined sysread($s,my$b,65536)or return$!+0;
    my(undef,$t,undef,undef,undef,$e)=unpack"LSSLLl",$b;
    return-$e if$t==2
  }
}
my$e;
for(1..10){
  $e=ask attr(1,"\\1"),attr(2,pack"NCx",$copied,2),attr(3,pack"N",$bytes),attr(4,pack"N",$wait),attr(5,pack"N",$packets),attr(6,pack"n",1);
  last if$e!=1&&$e!=16;
  select undef,undef,undef,.1
}
if($e){
  $!=$e;
  die"NFLOG group $g cannot be had: ",$e==1||$e==16?"another program listens to it":"$!","\\n"
}
ask attr(6,pack"n",5);
print"${readyLine}\\n";
sub name{my$d=pack"x16Lx20",@_;ioctl($i,0x8910,$d)?unpack"Z16",$d:""}
for(;;){
  my$n=sysread$s,my$b,65536;
  if(!defined$n){next if$!==4||$!==105;die"reading packets: $!\\n"}
  for(my$o=0;$o+20<=$n;){
    my($l,$t)=unpack"\\@$o LS",$b;
    last if$l<20||$o+$l>$n;
    if($t==1024){
      my@n=("","");
      for(my$a=$o+20;$a+8<=$o+$l;){
        my($k,$t,$v)=unpack"\\@$a SSN",$b;
        last if$k<4;
        $n[$t-4]=name$v if$t==4||$t==5;
        $a+=($k+3)&~3
      }
      print"packet ",unpack("H*",substr$b,$o+16,$l-16),map({",".unpack"H*",$_}@n),"\\n"
    }
    $o+=($l+3)&~3
  }
  select undef,undef,undef,$sleep
}`

/** The command that prints the packets that our rules send to NFLOG, one a line. */
export function nflogCommand(group = nflogGroup): readonly [string, ...string[]] {
  const { bytes, hundredths, packets, sleep } = batch
  return ['perl', '-e', nflogProgram, ...[group, copied, bytes, hundredths, packets, sleep].map(String)]
}

/** Where the kernel's log is read. */
export const kernelLog = '/dev/kmsg'

/**
 * Prints the lines of the kernel's log that begin as ours do, from now on. Of network namespaces other than the first one
 * the kernel logs nothing, and only the first has the setting that would change that. The file of a test may end.
 */
const kernelProgram = `
my($f,$tag)=@ARGV;$|=1;
$f ne"${kernelLog}"||-e"/proc/sys/net/netfilter/nf_log_all_netns"or die"the kernel logs nothing of this network namespace\\n";
open(my$k,"<",$f)or die"$f: $!\\n";
sysseek$k,0,2;
print"${readyLine}\\n";
for(;;){
  my$n=sysread$k,my$b,8192;
  if(!defined$n){
    if($!==32){print"${gapLine}\\n";next}
    next if$!==4;
    die"$f: $!\\n"
  }
  if(!$n){select undef,undef,undef,.2;next}
  for(split/\\n/,$b){print"$_\\n"if/^\\d+,[^;]*;\\Q$tag\\E /}
}`

/** The command that prints the lines of ours in the kernel's log. */
export function kernelLogCommand(file = kernelLog): readonly [string, ...string[]] {
  return ['perl', '-e', kernelProgram, file, logTag]
}
