#!/usr/bin/perl
# Where ptxas is found: every shipped kernel assembles for its arch without a spill and without a warning,
# and every kernel of tests/ assembles without a warning.
use strict;
use warnings;
use Test::More;

my ($ptxas) = grep { -x } map { "$_/ptxas" } split(/:/, $ENV{PATH}), '/usr/local/cuda/bin';
plan skip_all => 'no ptxas here (it comes with the CUDA toolkit)' unless $ptxas;

sub assemble {
    my ($file, @options) = @_;
    open my $in, '<', $file or die "$file: $!";
    my ($target) = map { /^\.target (sm_\w+)/ ? $1 : () } <$in>;
    return scalar qx{$ptxas -v -arch=$target @options $file -o /dev/null 2>&1};
}

for my $file (sort glob 'ptx_out/*.ptx') {
    my $log = assemble($file);
    is $?, 0, "$file assembles" or diag $log;
    unlike $log, qr/warning/i, "$file: no warning" or diag $log;
    like $log, qr/\b0 bytes spill stores, 0 bytes spill loads/, "$file: no spill" or diag $log;
}
for my $file (sort glob 'tests/ptx/*.ptx tests/hopper/*.ptx') {
    my $log = assemble($file);
    is $?, 0, "$file assembles" or diag $log;
    unlike $log, qr/warning|\bC75\d\d\b/i, "$file: no warning" or diag $log;
}
done_testing;
