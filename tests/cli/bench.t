#!/usr/bin/perl
# tilesmith bench, on the emulator: rows, their columns, failures as rows, and a driver without graphs.
use strict;
use warnings;
use lib 'tests/cli';
use Text::ParseWords 'quotewords';
use Tilesmith;
use Test::More;

my @emu = ('bench', '--device', 'emu');
my $config = 'mma_sm80_bf16_64x64x64_w2x2_s3';

# The rows of --csv as hashes.
sub rows {
    my ($head, @lines) = split /\n/, shift;
    my @names = split /,/, $head;
    return map { my %row; @row{@names} = map { defined $_ ? $_ : '' } quotewords(',', 0, $_); \%row } @lines;
}

sub number { return defined $_[0] && $_[0] =~ /^\d+(\.\d+)?(e[-+]\d+)?$/ }

# ---- the library's choice ----
my $out = works('bench', @emu, '--shape', '33x40x24,64x64x64', '--csv');
my @row = rows($out);
is(scalar @row, 2, 'one row a shape');
is(join(',', map { $_->{shape} } @row), '33x40x24,64x64x64', 'in their order');
for (@row) {
    ok($_->{status} eq 'ok' && $_->{reason} eq '' && $_->{dtype} eq 'f16' && $_->{config} =~ /^mma_sm89_f16_/, "$_->{shape}: $_->{config}");
    is($_->{device}, 'tilesmith emulator (sm_89)', 'the device is named');
    is($_->{timing}, 'graph', 'timed in a graph');
    for my $column (qw(calls replays sets us us_p10 us_p90 tflops gbytes_s registers local_bytes smem_bytes blocks_per_sm rel_err)) {
        ok(number($_->{$column}), "$column is a number: $_->{$column}");
    }
    ok($_->{us_p10} <= $_->{us} && $_->{us} <= $_->{us_p90} && $_->{us_p10} > 0, 'percentiles are in order');
    ok($_->{rel_err} < 6e-4, 'the result is right');
    is($_->{replays}, 15, '15 replays');
}
like(works('for people', @emu, '--shape', '33x40x24', '--dtype', 'bf16'),
    qr/^# on tilesmith emulator \(sm_89\)\n# shape .*TF\/s.*\n33x40x24 +mma_sm89_bf16_\S+ +[\d.]+ +[\d.]+% .*\n\z/, 'a table');

# ---- rows that the library packs first ----
@row = rows(works('packed', @emu, '--shape', '1501x1502x401', '--csv'));
ok(@row == 1 && $row[0]{status} eq 'ok' && $row[0]{rel_err} < 6e-4, 'the result is right');
like($row[0]{config}, qr/^mma_sm89_f16_[^,]*_vy4\+packed$/, 'the kernel for packed rows, and that they were packed');

# ---- tiles that blocks share ----
my $split = 'mma_sm80_f16_16x64x128_w1x4_s4_split';
@row = rows(works('shared', @emu, '--shape', '16x128x2048', '--config', $split, '--csv'));
ok(@row == 1 && $row[0]{status} eq 'ok' && $row[0]{rel_err} < 6e-4, 'the result is right, launch after launch in a graph');
is($row[0]{config}, $split, 'by the kernel that shares tiles');

# ---- how often ----
for my $replays (1, 4) {
    @row = rows(works('--replays', @emu, '--shape', '16x16x16', '--config', $config, '--replays', $replays, '--csv'));
    ok(@row == 1 && $row[0]{status} eq 'ok' && $row[0]{replays} == $replays, "$replays replays");
    ok($row[0]{us_p10} <= $row[0]{us} && $row[0]{us} <= $row[0]{us_p90} && $row[0]{us_p10} > 0, 'percentiles are in order');
}

# ---- named configurations ----
@row = rows(works('--config', @emu, '--shape', '64x64x64', '--config', $config, '--csv'));
ok(@row == 1 && $row[0]{config} eq $config && $row[0]{dtype} eq 'bf16', 'is the one measured, in its own types');
for my $fields ('_xf32_yf32', '_wcol_vy2', '_xcol', '_xany_wany_vx2_vw2', '_yany_vy2') {
    my $name = 'mma_sm89_f16_64x64x32_w2x2_s3' . $fields;
    @row = rows(works($name, @emu, '--shape', '24x40x72', '--config', $name, '--csv'));
    ok($row[0]{status} eq 'ok' && $row[0]{rel_err} > 0 && $row[0]{rel_err} < 6e-4, 'other types and layouts are measured as the kernel wants them');
}
like(works('--epilogue', @emu, '--shape', '32x32x32', '--epilogue', 'relu(z) + r'), qr/_e_\S+ .*\n\z/, 'another epilogue');

my ($status, $csv, $err) = tilesmith(@emu, '--shape', '64x64x64,65x33x97', '--config', $config, '--csv');
@row = rows($csv);
is($status, 0, 'where something could be measured, it succeeds');
is(join(',', map { $_->{status} } @row), 'ok,failed', 'what fails is a row');
like($row[1]{reason}, qr/not aligned/, 'with its reason');
($status, $csv, $err) = tilesmith(@emu, '--shape', '65x33x97', '--config', $config);
like($csv, qr/^65x33x97 +$config +FAILED: .*aligned/m, 'in the table too');
ok($status == 1 && $err =~ /^tilesmith bench: nothing could be measured/, 'and alone it fails the command');
($status, $csv) = tilesmith(@emu, '--shape', '8x8x8', '--config', 'mma_sm90_f16_64x64x64_w2x2_s3');
ok($status == 1 && $csv =~ /FAILED: .*sm_9/, 'a kernel for a newer device is a row that failed') or diag($csv);

# ---- all ----
@row = rows(works('--config all', @emu, '--shape', '17x15x13', '--config', 'all', '--arch', 'sm_80', '--csv'));
my $listed = () = works('list', 'list', '--arch', 'sm_80', '--dtype', 'f16') =~ /^mma/mg;
my %seen = map { $_->{config} => $_ } @row;
ok(@row > 1 && @row < $listed && keys %seen == @row, "each listed one that odd rows allow: " . @row . " of $listed");
is(scalar(grep { $_->{config} !~ /^mma_sm80_f16_/ } @row), 0, 'of the arch asked for');
my @failed = grep { $_->{status} ne 'ok' } @row;
ok(@failed > 0 && @failed < @row, 'some need more shared memory than this device has: ' . @failed);
is(scalar(grep { $_->{reason} !~ /needs \d+ B of shared memory/ } @failed), 0, 'which their rows say');

# ---- a driver without graphs: the same emulator with a function's name spoilt ----
my $driver = slurp($ENV{TILESMITH_EMU_LIB} || 'build/emu/libcuda.so.1');
(my $spoilt = $driver) =~ s/\0cuGraphLaunch\0/\0cuGraphL?unch\0/g;
isnt($spoilt, $driver, 'a driver without cuGraphLaunch');
mkdir tmp('lib');
spew(tmp('lib/libcuda.so.1'), $spoilt);
{
    local $ENV{LD_LIBRARY_PATH} = tmp('lib');
    my @by_events = ('bench', '--device', 'gpu', '--shape', '16x16x16');
    @row = rows(works('times by events', @by_events, '--csv'));
    is($row[0]{timing}, 'events', 'and says so');
    like(works('in the table', @by_events), qr/by events: this driver has no graphs/, 'too');
}

# ---- options that are refused ----
refused(2, qr/--shape MxNxK is missing/, 'bench');
refused(2, qr/'0x4x4' is not a shape; write MxNxK, each from 1/, @emu, '--shape', '0x4x4');
refused(2, qr/'4x4' is not a shape/, @emu, '--shape', '8x8x8,4x4');
refused(2, qr/--device 'tpu' is not known/, 'bench', '--device', 'tpu', '--shape', '1x1x1');
refused(2, qr/--replays 0 is not from 1 to 1000/, @emu, '--shape', '1x1x1', '--replays', '0');
refused(2, qr/--replays 1001 is not from 1 to 1000/, @emu, '--shape', '1x1x1', '--replays', '1001');
refused(2, qr/--replays wants an integer/, @emu, '--shape', '1x1x1', '--replays', 'many');
refused(2, qr/--arch goes with --config all/, @emu, '--shape', '1x1x1', '--arch', 'sm_80');
refused(2, qr/--dtype 'f8' is not known/, @emu, '--shape', '1x1x1', '--dtype', 'f8');
refused(2, qr/./, @emu, '--shape', '1x1x1', '--config', 'nonsense');
refused(2, qr/./, @emu, '--shape', '1x1x1', '--epilogue', 'sin(z)');
{
    local $ENV{TILESMITH_EMU_MEMORY_MB} = 16;
    ($status, $csv) = tilesmith(@emu, '--shape', '8192x8192x16');
    ok($status == 1 && $csv =~ /FAILED: .*memory/, 'too large for the device is a row that failed') or diag($csv);
}

done_testing;
