#!/usr/bin/perl
# Where ptxas is found: every shipped kernel, and what is chosen for some problems, assembles for its arch
# without a warning, wgmmas one after the other (C75..) or a spill; every kernel of tests/, and what is chosen for
# x of the other 16-bit type, without the first two.
use strict;
use warnings;
use Test::More;
use File::Temp 'tempdir';

my $program = $ENV{TILESMITH} || 'build/tilesmith';
my ($ptxas) = grep { -x } map { "$_/ptxas" } split(/:/, $ENV{PATH}), '/usr/local/cuda/bin';
plan skip_all => 'no ptxas here (it comes with the CUDA toolkit)' unless $ptxas;

sub assemble {
    my ($file, @options) = @_;
    open my $in, '<', $file or die "$file: $!";
    my ($target) = map { /^\.target (sm_\w+)/ ? $1 : () } <$in>;
    return scalar qx{$ptxas -v -arch=$target @options $file -o /dev/null 2>&1};
}

# What ptxas says of a file that assembles without a warning.
sub assembles_well {
    my ($file) = @_;
    my $log = assemble($file);
    is $?, 0, "$file assembles" or diag $log;
    unlike $log, qr/warning|\bC75\d\d\b/i, "$file: no warning" or diag $log;
    return $log;
}

# The files of the kernels that are chosen for these problems.
sub chosen {
    my @types = @_;
    my $shapes = '16x4096x4096,100x14336x4096,265x3584x3584,397x3584x18944,900x4096x4096,104x32000x4096,' .
        '1000x1000x1000,2136x5120x13824,4096x4096x4096,8192x8192x8192,512x11008x4096';
    my $dir = tempdir(CLEANUP => 1);
    my %names = map { /^(wgmma_\w+)/ ? ($1 => 1) : () }
        qx{$program explain --arch sm_90a --top 1 --shape $shapes @types};
    cmp_ok scalar keys %names, '>', 5, "kernels are chosen: @types";
    system($program, 'gen', '--config', $_, '-o', "$dir/") == 0 or die "$_ is not written" for sort keys %names;
    return sort glob "$dir/*.ptx";
}

for my $file ((sort glob 'ptx_out/*.ptx'), chosen(), chosen('--dtype', 'bf16'), chosen('--x-dtype', 'f32')) {
    my $log = assembles_well($file);
    like $log, qr/\b0 bytes spill stores, 0 bytes spill loads/, "$file: no spill" or diag $log;
}
assembles_well($_) for sort glob('tests/ptx/*.ptx tests/hopper/*.ptx'), chosen('--x-dtype', 'bf16');
done_testing;
