# Joins two network devices as a long wire would: every frame waits DELAY ms (and up to JITTER ms more, in order), LOSS percent
# of them never arrive. For kernels without netem. Perl, because Node.js has no packet sockets; its base package has all of this.
# Usage: slow-link.pl DEVICE DEVICE DELAY JITTER LOSS. Says "joined" when it carries frames; ends with its standard input.
use strict;
use warnings;
use Socket;
use Time::HiRes qw(time);

my ($AF_PACKET, $SOL_PACKET, $VNET_HDR, $IGNORE_OUTGOING) = (17, 263, 15, 23);
my $ALL_PROTOCOLS = 0x0003;
my ($one, $other, $delay, $jitter, $loss) = @ARGV;

sub open_device {
    my ($device) = @_;
    open(my $file, '<', "/sys/class/net/$device/ifindex") or die "$device: $!\n";
    chomp(my $index = <$file>);
    socket(my $socket, $AF_PACKET, SOCK_RAW, unpack('S', pack('n', $ALL_PROTOCOLS))) or die "packet socket: $!\n";
    # The kernel's header travels along: frames that were never cut into packets or summed up arrive as they were sent.
    setsockopt($socket, $SOL_PACKET, $VNET_HDR, pack('i', 1)) or die "vnet header: $!\n";
    setsockopt($socket, $SOL_PACKET, $IGNORE_OUTGOING, pack('i', 1)) or die "ignore outgoing: $!\n";
    setsockopt($socket, SOL_SOCKET, SO_RCVBUF, pack('i', 4 << 20));
    bind($socket, pack('S n i S C C a8', $AF_PACKET, $ALL_PROTOCOLS, $index, 0, 0, 0, '')) or die "bind $device: $!\n";
    return $socket;
}

my @ends = (open_device($one), open_device($other));
my @queues = ([], []);
$| = 1;
print "joined\n";

while (1) {
    my $now = time();
    my $wait = 1;
    for my $i (0, 1) {
        my $queue = $queues[$i];
        while (@$queue && $queue->[0][0] <= $now) { syswrite($ends[1 - $i], (shift @$queue)->[1]); }
        $wait = $queue->[0][0] - $now if @$queue && $queue->[0][0] - $now < $wait;
    }
    my $bits = '';
    vec($bits, fileno($_), 1) = 1 for @ends, \*STDIN;
    next unless select(my $ready = $bits, undef, undef, $wait) > 0;
    exit 0 if vec($ready, fileno(STDIN), 1) && !sysread(STDIN, my $ignored, 4096);
    for my $i (0, 1) {
        next unless vec($ready, fileno($ends[$i]), 1);
        next unless sysread($ends[$i], my $frame, 70_000);
        next if rand(100) < $loss;
        my $due = time() + ($delay + rand($jitter || 0)) / 1000;
        $due = $queues[$i][-1][0] if @{ $queues[$i] } && $queues[$i][-1][0] > $due;
        push @{ $queues[$i] }, [$due, $frame];
    }
}
