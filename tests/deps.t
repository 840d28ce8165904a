#!/usr/bin/perl
# The include directions: gen/ptx <- gen, gen and runtime <- dispatch <- cli, gen/ptx <- emu; nothing includes emu, cli
# or tests; the runtime does not know the generator (gen/shares.h is a rule that both need, without symbols).
use strict;
use warnings;
use Test::More;

# [files, what they may include of ours]
my @rules = (
    [ 'gen/ptx/*',         qr{^gen/ptx/|^(ptx|ops)\.h$} ],
    [ 'gen/*.[ch]',        qr{^gen/} ],
    [ 'runtime/*.[ch]',    qr{^runtime/|^gen/shares\.h$} ],
    [ 'dispatch/*.[ch]',   qr{^dispatch/|^runtime/|^gen/gen\.h$} ],
    [ 'emu/*.[ch]',        qr{^emu/|^gen/ptx/} ],
    [ 'cli/*.[ch]',        qr{^cli/|^runtime/tilesmith\.h$|^gen/gen\.h$} ],
);

for my $rule (@rules) {
    my ($glob, $allowed) = @$rule;
    my @bad;
    my @files = glob $glob;
    ok @files > 0, "$glob: there are such files";
    for my $file (@files) {
        open my $in, '<', $file or die "$file: $!";
        while (<$in>) {
            next unless /^\s*#\s*include\s+"([^"]+)"/;
            push @bad, "$file:$.: includes $1" unless $1 =~ $allowed;
        }
    }
    is "@bad", '', "$glob includes only " . $allowed;
}
done_testing;
