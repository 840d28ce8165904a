#!/usr/bin/perl
# What every command has: help, exit statuses, and refusals of options that it does not take.
use strict;
use warnings;
use lib 'tests/cli';
use Tilesmith;
use Test::More;

like(works('help', '--help'), qr/^Usage: tilesmith COMMAND.*gen .*list .*run .*bench .*tune .*explain .*devices /s, 'it lists the commands');
like(works('version', '--version'), qr/^tilesmith \d+\.\d+\.\d+\n$/, 'it prints a version');
for my $command (qw(gen list run bench tune explain devices)) {
    like(works("help of $command", $command, '--help'), qr/^Usage: tilesmith $command.*Options:.*--help/s, "it is that of $command");
    is(works("-h of $command", $command, '-h'), works("again", $command, '--help'), '-h is --help');
    refused(2, qr/unknown or ambiguous option '--nonsense'/, $command, '--nonsense');
    refused(2, qr/unknown option '-z'/, $command, '-z');
    refused(2, qr/'surplus' is not an option/, $command, 'surplus');
    refused(2, qr/--help takes no value/, $command, '--help=yes');
}

refused(2, qr/a command is missing/);
refused(2, qr/there is no command 'nonsense'/, 'nonsense');
refused(2, qr/there is no command '--nonsense'/, '--nonsense');
refused(2, qr/--arch wants a value/, 'gen', '--arch');
refused(2, qr/-o wants a value/, 'gen', '-o');
refused(2, qr/unknown or ambiguous option '--shape'/, 'gen', '--shape', '1x1x1');
refused(2, qr/unknown or ambiguous option '--tile'/, 'run', '--tile', '64x64x32');

SKIP: {
    skip 'no /dev/full', 2 unless -w '/dev/full';
    my $program = $ENV{TILESMITH} || 'build/tilesmith';
    for my $command ('list', 'gen') {
        my $message = `$program $command 2>&1 >/dev/full`;
        ok($? >> 8 == 1 && $message =~ /^tilesmith.*: cannot write to standard output: .*\n\z/, "$command to a full disk fails")
            or diag($message);
    }
}

done_testing;
