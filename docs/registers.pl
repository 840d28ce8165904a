#!/usr/bin/perl
# registers.pl: writes the table of registers and occupancy of docs/configs.md, from what ptxas says of each listed
# kernel for sm_89. Needs ptxas and build/tilesmith; run it in the root of the repository.
use strict;
use warnings;
use File::Temp 'tempdir';

my $page = 'docs/configs.md';
my $arch = 'sm_89';
my ($ptxas) = grep { -x } map { "$_/ptxas" } split(/:/, $ENV{PATH}), '/usr/local/cuda/bin';
die "no ptxas here: it comes with the CUDA toolkit\n" unless $ptxas;
my %chip = (regs => 65536, smem => 102400, reserved => 1024, warps => 48, blocks => 24); # an SM of sm_89
my $dir = tempdir(CLEANUP => 1);

sub least { my ($low, @rest) = @_; for (@rest) { $low = $_ if $_ < $low } return $low }

# Registers and spilled bytes of a config's kernel.
sub compile {
    my ($name) = @_;
    system("build/tilesmith gen --config $name -o $dir/k.ptx") == 0 or die "$name is not written\n";
    my $log = qx{$ptxas -v -arch=$arch $dir/k.ptx -o /dev/null 2>&1};
    my ($regs) = $log =~ /Used (\d+) registers/ or die "$name: $log";
    my ($stores, $loads) = $log =~ /(\d+) bytes spill stores, (\d+) bytes spill loads/ or die "$name: $log";
    return ($regs, $stores + $loads);
}

# Blocks on an SM: registers (a quarter in each partition, in units of 8 a thread), shared memory, warps, blocks.
sub resident {
    my ($regs, $smem, $warps) = @_;
    my $warps_a_partition = int($chip{regs} / 4 / (32 * 8 * int(($regs + 7) / 8)));
    return least(int(4 * $warps_a_partition / $warps), int($chip{smem} / ($smem + $chip{reserved})),
        int($chip{warps} / $warps), $chip{blocks});
}

my ($rows, $n, $spilling) = ('', 0, 0);
for my $line (qx{build/tilesmith list --arch $arch --dtype f16}) {
    next if $line =~ /^#/;
    my ($name, $threads, $smem, $planned, $estimate) = $line =~ /^(\S+)\s+(\d+)\s+(\d+) B\s+(\d+)\s+(\d+)/ or die $line;
    my ($regs, $spills) = compile($name);
    my ($bf16_regs, $bf16_spills) = compile($name =~ s/_f16_/_bf16_/r);
    $spills = $bf16_spills if $bf16_spills > $spills;
    $spilling += $spills > 0;
    my $warps = $threads / 32;
    my $blocks = resident($regs > $bf16_regs ? $regs : $bf16_regs, $smem, $warps);
    my $both = $regs == $bf16_regs ? $regs : "$regs / $bf16_regs";
    my ($short) = $name =~ /_f16_(.*)/;
    $rows .= sprintf "| %s | %d | %d | %d | %s | %d | %d | %d | %d |\n", $short, $threads, $smem, $estimate, $both,
        $spills, $planned, $blocks, $blocks * $warps;
    $n++;
}
my ($release) = qx{$ptxas --version} =~ /V([\d.]+)/;
my $table = "ptxas $release, $arch, f16 and bf16 (one number where they agree): $n configs, of which $spilling spill.\n\n"
    . "| config | threads | shared B | estimate | registers | spill B | planned blocks | blocks/SM | warps/SM |\n"
    . "|---|---|---|---|---|---|---|---|---|\n$rows";

open my $in, '<', $page or die "$page: $!\n";
my $text = do { local $/; <$in> };
$text =~ s/(<!-- registers -->\n).*?(<!-- end of registers -->)/$1$table$2/s or die "$page has no marks for the table\n";
open my $out, '>', $page or die "$page: $!\n";
print $out $text;
close $out or die "$page: $!\n";
