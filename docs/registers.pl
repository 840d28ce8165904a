#!/usr/bin/perl
# registers.pl: writes the table of registers and occupancy of docs/results.md, from what ptxas says of each listed and
# each shipped kernel for sm_89. Needs ptxas and build/tilesmith; run it in the root of the repository.
use strict;
use warnings;
use File::Temp 'tempdir';

my $page = 'docs/results.md';
my $arch = 'sm_89';
my ($ptxas) = grep { -x } map { "$_/ptxas" } split(/:/, $ENV{PATH}), '/usr/local/cuda/bin';
die "no ptxas here: it comes with the CUDA toolkit\n" unless $ptxas;
my %chip = (regs => 65536, smem => 102400, reserved => 1024, warps => 48, blocks => 24); # an SM of sm_89
my $dir = tempdir(CLEANUP => 1);

sub least { my ($low, @rest) = @_; for (@rest) { $low = $_ if $_ < $low } return $low }

# What the kernel of a config says of itself, and what ptxas says: registers, and spilled bytes.
sub compile {
    my ($name) = @_;
    my $text = qx{build/tilesmith gen --config $name};
    my %kernel;
    ($kernel{threads}) = $text =~ m{^// block: (\d+)}m or die "$name is not written\n";
    ($kernel{smem}) = $text =~ m{^// smem_bytes: (\d+)}m;
    ($kernel{planned}) = $text =~ /^\.minnctapersm (\d+)/m;
    open my $out, '>', "$dir/k.ptx" or die "$dir: $!\n";
    print $out $text;
    close $out or die "$dir: $!\n";
    my $log = qx{$ptxas -v -arch=$arch $dir/k.ptx -o /dev/null 2>&1};
    ($kernel{regs}) = $log =~ /Used (\d+) registers/ or die "$name: $log";
    $log =~ /(\d+) bytes spill stores, (\d+) bytes spill loads/ or die "$name: $log";
    $kernel{spills} = $1 + $2;
    return \%kernel;
}

# Blocks on an SM: registers (a quarter in each partition, in units of 8 a thread), shared memory, warps, blocks.
sub resident {
    my ($regs, $smem, $warps) = @_;
    my $warps_a_partition = int($chip{regs} / 4 / (32 * 8 * int(($regs + 7) / 8)));
    return least(int(4 * $warps_a_partition / $warps), int($chip{smem} / ($smem + $chip{reserved})),
        int($chip{warps} / $warps), $chip{blocks});
}

# Of both types: the larger number of registers counts.
my ($rows, $n, $spilling, %done) = ('', 0, 0);
sub row {
    my ($name, $estimate) = @_;
    return if $done{$name}++;
    my ($k, $bf16) = (compile($name), compile($name =~ s/_f16_/_bf16_/r));
    my ($most, $spills) = map { my $fact = $_; $k->{$fact} > $bf16->{$fact} ? $k->{$fact} : $bf16->{$fact} } 'regs', 'spills';
    my $both = $k->{regs} == $bf16->{regs} ? $k->{regs} : "$k->{regs} / $bf16->{regs}";
    my $warps = $k->{threads} / 32;
    my $blocks = resident($most, $k->{smem}, $warps);
    my ($short) = $name =~ /_f16_(.*)/;
    $rows .= "| $short | $k->{threads} | $k->{smem} | $estimate | $both | $spills | $k->{planned} | $blocks | " . $blocks * $warps . " |\n";
    $spilling += $spills > 0;
    $n++;
}
for (qx{build/tilesmith list --arch $arch --dtype f16}) {
    next if /^#/;
    /^(\w+)\s+\d+\s+\d+ B\s+\d+\s+(\d+)/ or die $_;
    row($1, $2);
}
row($_, '') for map { m{(mma_sm89_\w+)\.ptx} ? $1 =~ s/_bf16_/_f16_/r : () } sort glob 'ptx_out/*.ptx';
my ($release) = qx{$ptxas --version} =~ /V([\d.]+)/;
my $table = "ptxas $release, $arch, f16 and bf16 (one number where they agree): $n kernels, of which $spilling spill.\n\n"
    . "| config | threads | shared B | estimate | registers | spill B | planned blocks | blocks/SM | warps/SM |\n"
    . "|---|---|---|---|---|---|---|---|---|\n$rows";

open my $in, '<', $page or die "$page: $!\n";
my $text = do { local $/; <$in> };
$text =~ s/(<!-- registers -->\n).*?(<!-- end of registers -->)/$1$table$2/s or die "$page has no marks for the table\n";
open my $out, '>', $page or die "$page: $!\n";
print $out $text;
close $out or die "$page: $!\n";
