#!/usr/bin/perl
# tilesmith tune, on the emulator: rows, what is used afterwards, refusals.
use strict;
use warnings;
use lib 'tests/cli';
use File::Temp 'tempdir';
use Tilesmith;
use Test::More;

my $dir = tempdir(CLEANUP => 1);
$ENV{TILESMITH_CACHE_DIR} = "$dir/cache";
my @tune = ('tune', '--device', 'emu', '--top', 2);

my $out = works('tune', @tune, '--shape', '40x48x64');
like($out, qr/^# on tilesmith emulator \(sm_89\)\n40x48x64\n +config +us +spread +speedup +regs +local +smem +blk\/SM\n/, 'a heading');
my @rows = $out =~ /^([ *] mma_sm89_f16_\S+ +[\d.]+ +[\d.]+% +[\d.]+ +\d+ +\d+ +\d+ +\d+)$/mg;
ok(@rows == 3 || @rows == 4, 'the baseline, two of the ranking, perhaps one for registers');
like($rows[0], qr/^. mma_sm89_f16_64x64x64_w2x2_s2 .* 1\.000 /, 'the baseline first');
is(scalar(grep { /^\*/ } @rows), 1, 'one is used from now on');
like($out, qr/^Registers: .*registers.*\.\n[\d.]+ s; stored in \Q$dir\E\/cache\/tuning\.jsonl$/m, 'what registers said, and where it is stored');
my ($winner) = $out =~ /^\* (\S+)/m;
like(works('bench', 'bench', '--device', 'emu', '--shape', '40x48x64'), qr/^40x48x64 +\Q$winner\E /m, 'another process uses it');

like(works('again', 'tune', '--device', 'emu', '--top', 1, '--shape', '40x48x64'), qr/^\* is used from now on/m, 'it is tuned again');
my ($new) = works('once more', 'tune', '--device', 'emu', '--top', 1, '--shape', '40x48x64') =~ /^\* (\S+)/m;
like(works('bench', 'bench', '--device', 'emu', '--shape', '40x48x64'), qr/^40x48x64 +\Q$new\E /m, 'the last winner is used');

my @csv = split /\n/, works('as CSV', @tune, '--shape', '33x40x40,8x8x8', '--dtype', 'bf16', '--epilogue', 'relu(z)', '--csv');
is($csv[0], 'shape,config,us,spread,speedup,registers,local_bytes,smem_bytes,blocks_per_sm,status,winner', 'names of columns');
is(scalar(grep { (split /,/, $_, -1) != 11 } @csv), 0, 'as many fields in each line');
is(scalar(grep { /^33x40x40,.*,TS_OK,winner$/ } @csv), 1, 'a winner');
is(scalar(grep { /^8x8x8,.*,TS_OK,winner$/ } @csv), 1, 'and one for the other shape');

like(works('no time', 'tune', '--device', 'emu', '--shape', '40x48x72', '--budget', '0.000001'), qr/the budget was too short for \d+ more/, 'a budget that is over at once');
$ENV{TILESMITH_CACHE_DIR} = '/proc/self/tilesmith';
my ($status, $table, $why) = tilesmith(@tune, '--shape', '8x8x8');
ok($status == 1 && $why =~ /^tilesmith tune: not stored: .*cannot be made/m, 'where nothing can be stored it fails');
like($table, qr/^\* is the fastest; .*\n.*\n[\d.]+ s$/m, 'and prints what it measured');

refused(2, qr/--shape MxNxK is missing/, 'tune');
refused(2, qr/--top 65 is not from 1 to 64/, @tune, '--top', 65, '--shape', '8x8x8');
refused(2, qr/--budget 0 is not a time/, @tune, '--budget', 0, '--shape', '8x8x8');
$ENV{TILESMITH_DISABLE_TUNING} = 1;
refused(1, qr/tuning is off/, @tune, '--shape', '8x8x8');
done_testing;
