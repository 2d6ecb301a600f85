# Started by the test kit with the ports for players, for the publisher and the first one for media;
# says "ready" once both are listened on, then serves until it is killed.
use strict;
use warnings;
use AnyEvent;
use RTSP::Server;

my ($players, $publishers, $media) = @ARGV;
# The server returns to this number by itself whenever nothing is published.
$RTSP::Server::RTP_START_PORT = $media;
my $server = RTSP::Server->new(
    log_level             => 1,
    client_listen_address => '127.0.0.1',
    client_listen_port    => $players,
    source_listen_address => '127.0.0.1',
    source_listen_port    => $publishers,
    rtp_start_port        => $media,
);
$server->listen;
$| = 1;
print "ready\n";
AnyEvent->condvar->recv;
