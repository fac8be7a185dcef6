#!/usr/bin/perl
# Says which channels a ring has and prints its frames as they come, as `sluice tail` does, from nothing but sluice-ring(5):
#   read_ring.pl [--json] [--oldest] INSTANCE RING [FRAMES]
# An observer: it never slows the server. Debian's perl-base is enough; x86-64 only, since Perl has no memory barriers.
# Only raw * scale + offset is done: a channel with a calibration is shown as `-` (null), never by a wrong number.
# Ends with 0 after so many FRAMES; 1: refused, or corrupt; 2: wrong use; 3: no server, or it has ended.
use strict;
use warnings;
use Config;
use Errno qw(ENOENT ECONNREFUSED EACCES);
use Socket qw(AF_UNIX SOCK_SEQPACKET SOL_SOCKET SO_PEERCRED pack_sockaddr_un);
use constant {SYS_MMAP => 9, SYS_RECVMSG => 47, PROT_READ => 1, MAP_SHARED => 1, SCM_RIGHTS => 1, F_GET_SEALS => 1034,
    F_SEAL_SHRINK => 2, MSG_TRUNC => 0x20, MSG_CTRUNC => 8, MSG_CMSG_CLOEXEC => 0x40000000, MSG_NOSIGNAL => 0x4000};
use constant {PROTOCOL_VERSION => 3, ATTACH => 1, WAIT => 7, REPLY_BYTES => 536, RING_VERSION => 5, CLAIMED => 512,
    PUBLISHED => 640, GAP => 1, LIMIT => 1 << 62};
my @CAUSES = qw(sender kernel nic ring_full late malformed truncated restart);
my @TYPES = ([''], ['c', 1], ['C', 1], ['s', 2], ['S', 2], ['l', 4], ['L', 4], ['q', 8], ['Q', 8], ['f', 4], ['d', 8]);

sub fail { my ($code, @text) = @_; $| = 1; print STDERR 'read_ring.pl: ', @text, "\n"; exit $code }

my ($base, $size, @channels, %option);
$option{shift @ARGV} = 1 while @ARGV && $ARGV[0] =~ /^--(json|oldest)$/;
my ($instance, $name, $frames) = @ARGV;
fail(2, 'usage: read_ring.pl [--json] [--oldest] INSTANCE RING [FRAMES]')
    if @ARGV < 2 || @ARGV > 3 || length $name > 31 || $instance =~ m{/} || ($frames // 1) !~ /^[0-9]{1,15}$/;
fail(2, "expected an x86-64 of 64 bits, found $Config{archname}") if $Config{archname} !~ /^x86_64/ || $Config{ptrsize} != 8;

# ---- The server.

sub connected {
    my ($base, $runtime) = map { $_ // '' } @ENV{qw(SLUICE_RUN_DIR XDG_RUNTIME_DIR)};
    my $dir = length $base ? $base : $> == 0 ? '/run/sluice' : length $runtime ? "$runtime/sluice" : "/tmp/sluice-$>";
    my $path = "$dir/$instance/server.sock";
    fail(1, "the socket's path $path is longer than 107 bytes") if length $path > 107;
    socket(my $socket, AF_UNIX, SOCK_SEQPACKET, 0) or fail(3, "socket: $!");
    my $done = connect($socket, pack_sockaddr_un($path));
    $done = connect($socket, pack_sockaddr_un("/run/sluice/$instance/server.sock")) if !$done && $! == ENOENT && !length $base;
    fail(3, $! == EACCES ? "not permitted to talk to instance '$instance' ($path)"
         : $! != ENOENT && $! != ECONNREFUSED ? "cannot connect to $path: $!"
         : "expected a server of instance '$instance' at $path, found none; start one with: sluiced FILE.yaml") if !$done;
    my (undef, $uid) = unpack 'l L L', getsockopt($socket, SOL_SOCKET, SO_PEERCRED);
    fail(3, "the server of instance '$instance' is neither root's nor yours") if $uid != 0 && $uid != $> && $> != 0;
    return $socket;
}

# Is there something to read within so many seconds?
sub readable { my ($socket, $s) = @_; vec(my $set = '', fileno $socket, 1) = 1; return select($set, undef, undef, $s) > 0 }
sub request { return pack 'a4 S S Q Q a32 x160', 'SLCQ', PROTOCOL_VERSION, $_[0], $_[1], 0, $name }

# The ring mapped, and the lease: their descriptors by recvmsg(2), with its struct iovec, msghdr and cmsghdr.
sub attach {
    my ($socket) = @_;
    send($socket, request(ATTACH, 0), MSG_NOSIGNAL) or fail(3, "cannot send to the server: $!");
    readable($socket, 5) or fail(3, 'no answer from the server within 5 s');
    my ($packet, $control) = ('', '');
    vec($packet, REPLY_BYTES - 1, 8) = 0; # grown in place: the kernel writes to these two
    vec($control, 16 + 4 * 128 - 1, 8) = 0;
    my $iovec = pack 'P Q', $packet, length $packet;
    my $message = pack 'Q Q P Q P Q Q', 0, 0, $iovec, 1, $control, length $control, 0;
    my $n = syscall SYS_RECVMSG, fileno $socket, $message, MSG_CMSG_CLOEXEC;
    fail(3, 'the server has closed the connection without an answer') if $n <= 0;
    my ($used, $flags) = unpack '@40 Q L', $message;
    my ($magic, $version, $count, $code, undef, undef, $text) = unpack 'a4 S S l L Q Z512', $packet;
    fail(1, 'expected a reply of protocol version ', PROTOCOL_VERSION, ", found $n bytes of version $version; use the same ",
         'release on both sides') if $n != REPLY_BYTES || $magic ne 'SLCQ' || $version != PROTOCOL_VERSION;
    fail(1, $text) if $code != 0;
    my ($bytes, $level, $type, @fds) = $used >= 24 ? unpack 'Q l l l*', substr $control, 0, $used : (0, 0, 0);
    fail(1, "expected 2 descriptors from the server, found $count") if $count != 2 || $bytes != 24 || $level != SOL_SOCKET
        || $type != SCM_RIGHTS || $flags & (MSG_TRUNC | MSG_CTRUNC);
    open(my $ring, '<&=', $fds[0]) && open(my $lease, '+<&=', $fds[1]) or fail(1, "the descriptors: $!");
    fail(1, 'expected a memfd sealed against shrinking') if ((fcntl($ring, F_GET_SEALS, 0) // 0) & F_SEAL_SHRINK) == 0;
    fail(1, 'expected a ring of at least 4096 bytes') if ($size = -s $ring // 0) < 4096;
    $base = syscall SYS_MMAP, 0, $size, PROT_READ, MAP_SHARED, fileno $ring, 0;
    fail(1, "mmap: $!") if $base == -1;
    return $lease;
}

# ---- The ring, where it lies: to unpack a P is to copy so many bytes from an address.

sub at { my ($offset, $bytes) = @_; return unpack "P$bytes", pack 'Q', $base + $offset }
sub word { return unpack 'Q', at($_[0], 8) }

# What is used of the identity, checked as the page says.
sub identity {
    my (%r, $magic, $version, $header_bytes, $channels_offset, $streams, $numbers_offset);
    ($magic, $version, $header_bytes, @r{qw(slots slot_bytes payload_offset slots_offset)}, $channels_offset, $r{channels},
     $streams, $numbers_offset, $r{numbers}) = unpack 'a8 L L @24 Q L L Q L L @88 L @160 L L', at(0, 4096);
    fail(1, 'expected a ring, found other bytes') if $magic ne 'SLCRING1';
    fail(1, 'expected ring layout version ', RING_VERSION, ", found $version; use the same release on both sides")
        if $version != RING_VERSION;
    fail(1, 'the ring header is inconsistent: it is corrupt or not ours') if $header_bytes != 4096 || $channels_offset != 4096
        || $r{slots} < 16 || $r{slots} > 1 << 30 || $r{slots} & $r{slots} - 1 || $r{slot_bytes} < 64 || $r{slot_bytes} > 65536
        || $r{slot_bytes} % 64 || $r{payload_offset} != 32 && ($r{payload_offset} == 0 || $r{payload_offset} % 64)
        || $r{payload_offset} > 512 || $r{payload_offset} > $r{slot_bytes} - 32 || $r{channels} > 64 || $r{numbers} > 1024
        || $streams < 1 || $streams > 8 || $numbers_offset != 4096 + 128 * $r{channels}
        || $r{slots_offset} != int(($numbers_offset + 8 * $r{numbers} + 4095) / 4096) * 4096
        || $r{slots_offset} + $r{slots} * $r{slot_bytes} > $size;
    return %r;
}

sub channel {
    my ($entry, %c) = at(4096 + 128 * $_[0], 128);
    (@c{qw(name unit at type order calibration)}, undef, @c{qw(scale offset bits shift)}) =
        unpack 'Z32 Z16 L L L S S d d @108 C C', $entry;
    fail(1, "channel $_[0] of the ring is corrupt") if substr($entry, 0, 32) !~ /\0/ || substr($entry, 32, 16) !~ /\0/
        || $c{type} < 1 || $c{type} > 10 || $c{order} < 1 || $c{order} > 2 || $c{calibration} > 4 || $c{at} > 65536
        || ($c{bits} ? $c{type} > 8 || $c{bits} + $c{shift} > 8 * $TYPES[$c{type}][1] : $c{shift});
    my ($letter, $bytes) = @{$TYPES[$c{type}]};
    $letter =~ tr/cslq/CSLQ/ if $c{bits};
    $c{end} = $c{at} + $bytes;
    $c{format} = "\@$c{at} $letter" . ($bytes == 1 ? '' : $c{order} == 2 ? '>' : '<');
    return \%c;
}

# In its unit; undef: calibrated in a way that is not done here.
sub value {
    my ($c, $payload) = @_;
    return undef if $c->{calibration} != 0;
    return 'nan' if $c->{end} > length $payload;
    my $raw = unpack $c->{format}, $payload;
    if ($c->{bits}) {
        $raw = $raw >> $c->{shift} & ~0 >> 64 - $c->{bits};
        $raw = unpack 'q', pack 'Q', $raw | ($raw >> $c->{bits} - 1 ? ~0 << $c->{bits} : 0) if $c->{type} % 2; # signed
    }
    return $raw * $c->{scale} + $c->{offset};
}

sub print_gap {
    my ($position, $tai_ns, $cause, $count) = @_;
    my $missing = $count ? ", $count" . ($count >= 65535 ? ' or more' : '') . ' frames missing' : '';
    print $option{'--json'} ? qq({"position": $position, "tai_ns": $tai_ns, "gap": {"cause": "$cause", "count": $count}})
        : sprintf('%12d', $position) . "  --- gap: $cause$missing ---", "\n";
}

sub json { my $v = $_[0] // 'nan'; return $v - $v == 0 ? sprintf '%.17g', $v : 'null' }
sub text { return defined $_[0] ? lc sprintf '%.6g', $_[0] : '-' }

sub print_frame {
    my ($position, $tai_ns, $number, $length, $cause, $lost, %value) = @_;
    return print qq({"position": $position, "tai_ns": $tai_ns, "source_sequence": $number, "length_bytes": $length, ),
        qq("lost_before": $lost, "cause": ), $lost ? qq("$cause") : 'null', ', "values": {',
        join(', ', map { qq("$_->{name}": ) . json($value{$_}) } @channels), "}}\n" if $option{'--json'};
    print_gap($position, $tai_ns, $cause, $lost) if $lost;
    printf "%12d  %d.%09d  #%-10u %5u B%s\n", $position, $tai_ns / 10**9, $tai_ns % 10**9, $number, $length,
        join '', map { "  $_->{name} " . text($value{$_}) . " $_->{unit}" } @channels;
}

# ---- Reading.

my $socket = connected();
my $lease = attach($socket);
my %r = identity();
@channels = map { channel($_) } 0 .. $r{channels} - 1;
my ($lost, $shown, $waiting, $ended, $room, $page) = (0, 0, 0, 0, $r{slot_bytes} - $r{payload_offset}, '');
fail(1, 'expected a lease, found other bytes') if !sysseek($lease, 0, 0) || !sysread($lease, $page, 8) || $page ne 'SLCLASE2';
print STDERR "ring $name: ", join(', ', map { "$_->{name} in $_->{unit}" . ($_->{calibration} ? ' (calibrated)' : '') }
    @channels), "\n";
my ($published, $claimed) = (word(PUBLISHED), word(CLAIMED));
my $oldest = $claimed > $r{slots} ? $claimed - $r{slots} : 0;
my $position = $option{'--oldest'} && $oldest < $published ? $oldest : $published;

while (!defined $frames || $shown < $frames) {
    my $slot = $r{slots_offset} + $position % $r{slots} * $r{slot_bytes};
    if (word($slot) == $position + 1) {
        my (undef, $tai_ns, $number, $length, $flags, undef, $before) = unpack 'Q Q Q S S S S', at($slot, 32);
        my $payload = $length ? at($slot + $r{payload_offset}, $length < $room ? $length : $room) : '';
        my %value = $flags & GAP ? () : map { $_ => value($_, $payload) } @channels;
        $claimed = word(CLAIMED); # after all that was read: is it still this position's?
        if ($claimed >= $position && $claimed - $position <= $r{slots}) {
            my $cause = $CAUSES[$flags >> 8] // 'unknown';
            fail(1, "position $position has $length bytes in a slot of $room: the ring is corrupt") if $length > $room;
            print_gap($position, $tai_ns, $cause, $before) if $flags & GAP;
            print_frame($position, $tai_ns, $number, $length, $cause, $before, %value) if !($flags & GAP);
            $position++, $shown++, next;
        }
    }
    ($published, $claimed) = (word(PUBLISHED), word(CLAIMED)); # in this order
    my $to = $claimed - $r{slots} + $r{slots} / 8;
    $to = $published if $to > $published;
    fail(1, 'claimed and published cannot be true: the ring is corrupt') if $claimed < $position || $claimed > LIMIT
        || $claimed < $published || $claimed - $position > $r{slots} && $to <= $position;
    if ($claimed - $position > $r{slots}) {
        ($lost, $position) = ($lost + $to - $position, $to);
        print STDERR "read_ring.pl: too slow: $lost frames were overwritten before they were shown\n";
        next;
    }
    fail(3, 'the server has ended') if $ended;
    $| = 1, $| = 0; # flush
    sysseek($lease, 128, 0) and syswrite($lease, pack 'Q Q', $position, $lost); # for `sluice status`
    $waiting ||= send($socket, request(WAIT, $position), MSG_NOSIGNAL);
    next if word($slot) == $position + 1 || !readable($socket, 1);
    $ended = 1 if !defined recv($socket, $page, 64, 0) || $page eq ''; # what is left is shown first
    $waiting = 0;
}
