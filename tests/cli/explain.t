#!/usr/bin/perl
# tilesmith explain: the choice in numbers.
use strict;
use warnings;
use lib 'tests/cli';
use Tilesmith;
use Test::More;

my @lines = split /\n/, works('explain', 'explain', qw(--shape 4096x4096x4096 --arch sm_90a));
like($lines[0], qr/^# 4096x4096x4096 f16, sm_90a, 132 SMs$/, 'it says for what');
like($lines[1], qr/^# config +us +tiles +waves +k-blocks/, 'it has a heading');
is(scalar @lines, 10, 'and eight configurations');
like($lines[2], qr/^wgmma_sm90a_f16_128x256x64_w2x1_s4_g16_even1_last +\d+\.\d+ +512 +4 +64 /, 'with tiles, waves and k-blocks');
my @times = map { (split)[1] } @lines[2 .. $#lines];
is_deeply(\@times, [sort { $a <=> $b } @times], 'best first');

@lines = split /\n/, works('of two problems', 'explain', '--shape', '64x64x64,100x200x300', qw(--dtype bf16 --top 3));
is(scalar(grep {/^mma_sm89_bf16_/} @lines), 6, 'three each, for the usual arch');
my $few = works('few SMs', 'explain', qw(--shape 512x512x512 --top 1 --sms 4));
my ($time, $tiles, $waves) = $few =~ /^mma_\S+ +(\S+) +(\d+) +(\d+)/m;
is($waves, int(($tiles + 3) / 4), 'the busiest of four SMs');
like(works('odd rows', 'explain', qw(--shape 4095x4095x4095 --top 1)), qr/rows of x and W are packed first.*_vx2_vw2_vy2/s, 'odd rows');
like(works('one row', 'explain', qw(--shape 1x4095x4095 --top 1)), qr/^mma_sm89_f16_\S+_s\d_vw2 /m, 'x and y of one row have no pitch');
my $wide = works('x as f32', 'explain', qw(--shape 2048x2048x2048 --arch sm_90a --x-dtype f32 --top 1));
like($wide, qr/^# 2048x2048x2048 f16 \(x f32\), .*^wgmma_sm90a_f16_\S+_xf32_yf32/ms, 'x, and y, of another type');
is(works('again', 'explain', qw(--shape 77x88x99)), works('again', 'explain', qw(--shape 77x88x99)), 'the same again');

refused(2, qr/--shape MxNxK is missing/, 'explain');
refused(2, qr/--top 0 is not from 1 to 100/, 'explain', qw(--shape 1x1x1 --top 0));
refused(2, qr/--sms 0: a device has SMs/, 'explain', qw(--shape 1x1x1 --sms 0));
refused(2, qr/--arch 'sm_12' is not known/, 'explain', qw(--shape 1x1x1 --arch sm_12));
refused(2, qr/--x-dtype 'f8' is not known/, 'explain', qw(--shape 1x1x1 --x-dtype f8));
refused(2, qr/./, 'explain', qw(--shape 1x1));

done_testing;
