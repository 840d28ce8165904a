#!/usr/bin/perl
# tilesmith run and devices, on the emulator: results, output, the user's own arrays, and refusals.
use strict;
use warnings;
use lib 'tests/cli';
use Cwd 'abs_path';
use JSON::PP;
use Tilesmith;
use Test::More;

my @emu = ('run', '--device', 'emu');
my $emulator = qr/tilesmith emulator \(sm_89\)/;

# ---- devices ----
like(works('devices', 'devices'), qr/^emu 0: $emulator, sm_89, \d+ SMs, .* GiB, 101376 B .*CUDA \d+\.\d+$/m, 'the emulator is there');

# ---- random inputs ----
my $shapes = '1x1x1,37x75x101,129x127x65,64x64x0,200x96x260';
for my $dtype ('f16', 'bf16') {
    my @lines = split /\n/, works("$dtype --json", @emu, '--shape', $shapes, '--dtype', $dtype, '--json');
    is(join(',', map { decode_json($_)->{shape} } @lines), $shapes, 'one object a shape');
    for (map { decode_json($_) } @lines) {
        my $limit = $dtype eq 'f16' ? 4e-4 : 3e-3;
        ok($_->{ok} && $_->{dtype} eq $dtype && $_->{device} =~ $emulator && $_->{config} =~ /^mma_sm89_${dtype}_/, "$_->{shape} is ok")
            or diag(encode_json($_));
        ok($_->{rel_err} <= $limit && $_->{max_abs_err} < 0.1 && $_->{ms} >= 0, "rel_err $_->{rel_err}, max_abs_err $_->{max_abs_err}");
    }
}
like(works('a line for people', @emu, '--shape', '64x64x64'),
    qr/^64x64x64 +mma_sm89_f16_\S+  on $emulator  [\d.]+ ms  rel_err \S+  max_abs_err \S+  OK$/, 'says shape, config, device, errors');
like(works('empty outputs', @emu, '--shape', '0x5x7,5x0x7,0x0x0'), qr/^(\dx\dx\d .* OK\n){3}\z/, 'are right');
like(works('not verified', @emu, '--shape', '16x16x16', '--no-verify'), qr/not verified$/, 'says so');
my $unverified = decode_json(works('not verified, as JSON', @emu, '--shape', '16x16x16', '--no-verify', '--json'));
ok(exists $unverified->{ok} && !defined $unverified->{ok} && !defined $unverified->{rel_err}, 'ok is null');

sub errors_of { my $o = decode_json(works("run @_", @emu, '--json', @_)); return "$o->{rel_err} $o->{max_abs_err}" }
is(errors_of(qw(--shape 40x40x40 --seed 3)), errors_of(qw(--shape 40x40x40 --seed 3)), 'the same seed gives the same result');
isnt(errors_of(qw(--shape 40x40x40 --seed 3)), errors_of(qw(--shape 40x40x40 --seed 4)), 'another seed another');

# ---- pinned kernels ----
for my $options (['--config', 'mma_sm80_f16_64x64x32_w2x2_s3'], ['--config', 'mma_sm86_bf16_32x32x32_w2x1_s2'],
    ['--config', 'mma_sm80_f16_64x64x32_w2x2_s3_split'], ['--arch', 'sm_80'], ['--epilogue', 'relu(z)'], ['--epilogue', 'z * s + t', '--scale', -1.5, '--t', 0.25],
    ['--epilogue', 'gelu(acc) + bias'], ['--epilogue', 'r + tanh(z)'], ['--scale', 0]) {
    like(works("run @$options", @emu, '--shape', '33x50x70', @$options), qr/ OK$/, 'is right at an odd shape');
}
like(works('--config', @emu, '--shape', '8x8x8', '--config', 'mma_sm80_f16_64x64x32_w2x2_s3'), qr/ mma_sm80_f16_64x64x32_w2x2_s3 /, 'is the config that runs');

works('a kernel in a file', 'gen', '--epilogue', 'silu(z)', '--dtype', 'bf16', '-o', tmp('k.ptx'));
like(works('--kernel', @emu, '--shape', '33x50x70,1x300x5', '--kernel', tmp('k.ptx')), qr/^(.* mma_sm89_bf16_128x128x32_w2x4_s3_e_\S+ .* OK\n){2}\z/, 'runs by its header lines');

# ---- a wrong result fails ----
my $ptx = slurp(tmp('k.ptx'));
(my $wrong = $ptx) =~ s{^(// epilogue: ).*}{$1z + 1}m;
spew(tmp('wrong.ptx'), $wrong);
my ($status, $out, $err) = tilesmith(@emu, '--shape', '8x8x8', '--kernel', tmp('wrong.ptx'));
is($status, 1, 'a kernel that computes another thing fails');
like($out, qr/ FAILED\n.*rel_err \S+ is over.*\n  y\[0,0\] is \S+; float64 says \S+, give or take .*and \d+ more elements$/s, 'and the first mismatches are shown');
like($err, qr/^tilesmith run: the result is wrong/, 'with a sentence');
($status, $out, $err) = tilesmith(@emu, '--shape', '8x8x8,4x4x4', '--kernel', tmp('wrong.ptx'), '--json');
is($status, 1, 'as JSON too');
is(join(',', map { decode_json($_)->{ok} ? 'ok' : 'wrong' } split /\n/, $out), 'wrong,wrong', 'where ok is false');

# ---- the user's arrays ----
my @x = ([1, 2, 3], [-1, 0.5, 0]);
my @w = ([1, 0, 0], [0, 1, 0], [0.25, 0.25, 0.25], [-4, 2, -1]);
my @bias = (0, 1, -2, 0.5);
sub matrix { return pack 'f<*', map {@$_} @_ }

sub expected {
    my ($bias) = @_;
    my @y;
    for my $x (@x) {
        for my $n (0 .. 3) {
            my $z = $bias->[$n];
            $z += $x->[$_] * $w[$n][$_] for 0 .. 2;
            push @y, $z + 2 / (1 + exp(-$z));
        }
    }
    return @y;
}

sub f16 { # of its bits
    my ($h) = @_;
    my ($e, $f) = ($h >> 10 & 31, $h & 1023);
    return ($h & 0x8000 ? -1 : 1) * ($e ? (1024 + $f) * 2**($e - 25) : $f * 2**-24);
}

# Dictionary and values of an output.
sub output {
    my ($bytes) = @_;
    my ($length) = unpack 'x8v', $bytes;
    my $dictionary = substr $bytes, 10, $length;
    my $data = substr $bytes, 10 + $length;
    return ($dictionary, $dictionary =~ /<f4/ ? unpack('f<*', $data) : map { f16($_) } unpack('v*', $data));
}

sub close_to {
    my ($got, $wanted, $tolerance) = @_;
    return @$got == @$wanted && !grep { abs($got->[$_] - $wanted->[$_]) > $tolerance * (1 + abs $wanted->[$_]) } 0 .. $#$wanted;
}

spew(tmp('x.npy'), npy('<f4', [2, 3], matrix(@x)));
spew(tmp('w.npy'), npy('<f4', [4, 3], matrix(@w), version => 2));
spew(tmp('b.npy'), npy('<f4', [4], pack('f<*', @bias), version => 3));
my @xw = ('--x', tmp('x.npy'), '--w', tmp('w.npy'));
my @files = (@xw, '--bias', tmp('b.npy'), '--out', tmp('y.npy'));

like(works('arrays of float32', @emu, @files), qr/^2x4x3 .* OK$/, 'are rounded and verified');
my ($dictionary, @y) = output(slurp(tmp('y.npy')));
like($dictionary, qr/'descr': '<f2', 'fortran_order': False, 'shape': \(2, 4\)/, 'y is float16 [M,N]');
ok(close_to(\@y, [expected(\@bias)], 1e-3), 'and holds the right numbers') or diag("@y");
works('without a bias', @emu, @xw, '--out', tmp('y.npy'), '--no-verify');
(undef, @y) = output(slurp(tmp('y.npy')));
ok(close_to(\@y, [expected([0, 0, 0, 0])], 1e-3), 'it counts as 0') or diag("@y");
works('bf16', @emu, @files, '--dtype', 'bf16');
($dictionary, @y) = output(slurp(tmp('y.npy')));
like($dictionary, qr/'<f4'.*\(2, 4\)/, 'y is float32 then');
ok(close_to(\@y, [expected(\@bias)], 8e-3), 'and holds the right numbers') or diag("@y");
spew(tmp('x16.npy'), npy('<f2', [2, 3], pack('v*', 0x3c00, 0x4000, 0x4200, 0xbc00, 0x3800, 0)));
works('float16', @emu, '--x', tmp('x16.npy'), @files[2 .. $#files]);
(undef, @y) = output(slurp(tmp('y.npy')));
ok(close_to(\@y, [expected(\@bias)], 1e-3), 'is taken as it is') or diag("@y");
spew(tmp('r.npy'), npy('<f4', [2, 4], pack('f<*', (100) x 8)));
works('--r', @emu, @files, '--r', tmp('r.npy'), '--epilogue', 'z + s * sigmoid(z) + r');
(undef, @y) = output(slurp(tmp('y.npy')));
ok(close_to(\@y, [map { 100 + $_ } expected(\@bias)], 1e-3), 'is added') or diag("@y");
spew(tmp('empty.npy'), npy('<f4', [0, 3], ''));
works('no rows', @emu, '--x', tmp('empty.npy'), '--w', tmp('w.npy'), '--out', tmp('y.npy'));
like(slurp(tmp('y.npy')), qr/'shape': \(0, 4\)/, 'give no rows');

# ---- arrays that are refused ----
spew(tmp('kept.npy'), 'kept');
sub refused_array { my ($sentence, $bytes) = @_; spew(tmp('bad.npy'), $bytes); refused(1, $sentence, @emu, '--x', tmp('bad.npy'), '--w', tmp('w.npy'), '--out', tmp('kept.npy')) }
refused_array(qr/bad.npy is truncated/, npy('<f4', [2, 3], matrix($x[0])));
refused_array(qr/bad.npy is truncated/, substr npy('<f4', [2, 3], ''), 0, 40);
refused_array(qr/bad.npy is too long/, npy('<f4', [2, 3], matrix(@x, @x)));
refused_array(qr/bad.npy is not an npy file/, '');
refused_array(qr/bad.npy is not an npy file/, 'P6 3 2 255');
refused_array(qr/'<f8'; save it as float16 or float32/, npy('<f8', [2, 3], 'x' x 48));
refused_array(qr/big-endian/, npy('>f4', [2, 3], matrix(@x)));
refused_array(qr/Fortran order/, npy('<f4', [2, 3], matrix(@x), order => 'True'));
refused_array(qr/has 1 dimensions; x is \[M,K\]/, npy('<f4', [6], matrix(@x)));
refused_array(qr/do not agree in K/, npy('<f4', [3, 2], matrix(@x)));
refused_array(qr/too large for f16; try --dtype bf16/, npy('<f4', [1, 3], pack('f<*', 1, 70000, 1)));
refused(1, qr/bias has 2 elements; W has 4 rows/, @emu, @xw, '--out', tmp('kept.npy'), '--bias', spew(tmp('b2.npy'), npy('<f4', [2], pack('f<*', 1, 2))));
refused(1, qr/bias is \[N\]/, @emu, @xw, '--out', tmp('kept.npy'), '--bias', tmp('x.npy'));
refused(1, qr/it must be \[M,N\] = \[2,4\]/, @emu, @files[0 .. 5], '--out', tmp('kept.npy'), '--epilogue', 'z + r', '--r', tmp('x.npy'));
refused(1, qr/needs --r FILE/, @emu, @files[0 .. 5], '--out', tmp('kept.npy'), '--epilogue', 'z + r');
refused(1, qr/does not use --r/, @emu, @files[0 .. 5], '--out', tmp('kept.npy'), '--r', tmp('r.npy'));
refused(1, qr{cannot read /no/such/x.npy: No such file}, @emu, '--x', '/no/such/x.npy', '--w', tmp('w.npy'), '--out', tmp('kept.npy'));
refused(1, qr/is a directory/, @emu, '--x', tmp(''), '--w', tmp('w.npy'), '--out', tmp('kept.npy'));
is(slurp(tmp('kept.npy')), 'kept', 'none of these touched the output');
refused(1, qr{cannot write /no/such/dir/y.npy: No such file}, @emu, @xw, '--out', '/no/such/dir/y.npy');
refused(1, qr{cannot write /dev/full: No space left}, @emu, @xw, '--out', '/dev/full') if -w '/dev/full';
is(scalar(() = glob tmp('*.tmp')), 0, 'no temporary file is left');

# ---- options that are refused ----
for my $shape ('', '1x2', '1x2x3x4', 'axbxc', '-1x2x3', '1x2x', '1x2x3,', ',1x2x3', '1x2x3,4x5', '2147483648x1x1', '1x1x99999999999999999999', ' 1x2x3', '1X2X3') {
    refused(2, qr/is not a shape; write MxNxK/, @emu, '--shape', $shape);
}
refused(2, qr/--shape MxNxK is missing/, 'run');
refused(2, qr/--device 'tpu' is not known/, 'run', '--device', 'tpu', '--shape', '1x1x1');
refused(2, qr/--arch 'sm_12' is not known/, @emu, '--shape', '1x1x1', '--arch', 'sm_12');
refused(2, qr/--dtype 'f8' is not known/, @emu, '--shape', '1x1x1', '--dtype', 'f8');
refused(2, qr/--scale wants a finite number, not 'two'/, @emu, '--shape', '1x1x1', '--scale', 'two');
refused(2, qr/--scale wants a finite number, not '1e39'/, @emu, '--shape', '1x1x1', '--scale', '1e39');
refused(2, qr/--out wants a file/, @emu, @xw, '--out', '-');
refused(2, qr/--scale wants a finite number, not 'nan'/, @emu, '--shape', '1x1x1', '--scale', 'nan');
refused(2, qr/--seed wants an integer/, @emu, '--shape', '1x1x1', '--seed', '-1');
refused(2, qr/./, @emu, '--shape', '1x1x1', '--config', 'nonsense');
refused(2, qr/./, @emu, '--shape', '1x1x1', '--epilogue', 'sin(z)');
refused(2, qr/leave out --dtype/, @emu, '--shape', '1x1x1', '--kernel', tmp('k.ptx'), '--dtype', 'bf16');
refused(2, qr/--x and --w go together/, @emu, '--x', tmp('x.npy'), '--out', tmp('y.npy'));
refused(2, qr/need --out FILE/, @emu, @xw);
refused(2, qr/leave out --shape/, @emu, @files, '--shape', '2x4x3');
refused(2, qr/--seed is for random inputs/, @emu, @files, '--seed', 1);
refused(2, qr/--bias needs --x and --w/, @emu, '--shape', '1x1x1', '--bias', tmp('b.npy'));
refused(2, qr/--out needs --x and --w/, @emu, '--shape', '1x1x1', '--out', tmp('y.npy'));
refused(1, qr/\d+ B of shared memory; sm_89 allows 101376/, @emu, '--shape', '1x1x1', '--config', 'mma_sm89_f16_256x128x64_w4x2_s6');

# ---- kernels and devices that do not go together ----
refused(1, qr{/no/such/k.ptx}, @emu, '--shape', '1x1x1', '--kernel', '/no/such/k.ptx');
for my $bytes (0, 1, 100, 400, 2000, length($ptx) - 3) {
    refused(1, qr/part\.ptx: /, @emu, '--shape', '1x1x1', '--kernel', spew(tmp('part.ptx'), substr $ptx, 0, $bytes));
}
(my $broken = $ptx) =~ s/mma\.sync/mma.sink/;
refused(1, qr/broken\.ptx: .*line \d+: 'mma\.sink/, @emu, '--shape', '1x1x1', '--kernel', spew(tmp('broken.ptx'), $broken));
refused(1, qr/sm_90.*sm_89|sm_89.*sm_90/, @emu, '--shape', '1x1x1', '--arch', 'sm_90');
{
    local $ENV{TILESMITH_EMU_SM} = 80;
    refused(1, qr/sm_89.*sm_80|sm_80.*sm_89/, @emu, '--shape', '1x1x1', '--kernel', tmp('k.ptx'));
    like(works('an older device', @emu, '--shape', '5x6x7'), qr/ mma_sm80_f16_\S+ .* OK$/, 'gets a kernel for it');
}
{
    local $ENV{TILESMITH_EMU_MEMORY_MB} = 64;
    refused(1, qr/memory/, @emu, '--shape', '8192x8192x16');
    refused(1, qr/memory/, @emu, '--shape', '2147483647x16000000x2147483647');
    refused(1, qr/in several calls/, @emu, '--shape', '2147483647x2147483647x2147483647');
    like(works('what fits', @emu, '--shape', '16x16x16'), qr/ OK$/, 'still runs');
}
{
    mkdir tmp('lib');
    spew(tmp('lib/libcuda.so.1'), 'this is no library');
    local $ENV{LD_LIBRARY_PATH} = tmp('lib');
    refused(1, qr/libcuda\.so\.1/, 'run', '--device', 'gpu', '--shape', '1x1x1');
    like(works('auto without a driver', 'run', '--shape', '1x1x1'), qr/ on $emulator .* OK$/, 'takes the emulator and says so');
    like(works('devices without a driver', 'devices'), qr/^gpu: none: .*libcuda\.so\.1.*\nemu 0: /, 'says why');
}
SKIP: {
    my $fake = $ENV{TILESMITH_FAKE_LIB};
    skip 'no driver that fails on demand', 1 unless $fake && -e $fake;
    mkdir tmp('fake');
    symlink abs_path($fake), tmp('fake/libcuda.so.1') or die;
    local $ENV{LD_LIBRARY_PATH} = tmp('fake');
    my @gpu = ('run', '--device', 'gpu', '--shape', '5x6x7');
    for my $call (qw(cuInit=100 cuDeviceGetCount=100 cuInit=999 cuDevicePrimaryCtxRetain=2 cuModuleLoadDataEx=218 cuModuleLoadDataEx=222
        cuMemAlloc_v2=2@1 cuMemAlloc_v2=2@4 cuMemcpyHtoD_v2=700@2 cuMemsetD8_v2=1 cuStreamCreate=999 cuEventCreate=2@2
        cuEventRecord=1 cuLaunchKernel=719 cuStreamSynchronize=700 cuEventElapsedTime=1 cuMemcpyDtoH_v2=700)) {
        local $ENV{FAKE_CUDA_FAIL} = $call;
        refused(1, qr/\w \w/, @gpu);
    }
    ($status, $out, $err) = tilesmith(@gpu);
    ok($status eq '1' && $out =~ /max_abs_err nan  FAILED\n  y\[0,0\] is nan; float64 says/, 'an output that nobody writes fails') or diag($out);
    $ENV{FAKE_CUDA_FAIL} = 'cuInit=100';
    like(works('auto without a device', 'run', '--shape', '1x1x1'), qr/ on $emulator .* OK$/, 'takes the emulator');
    $ENV{FAKE_CUDA_FAIL} = 'cuInit=999';
    ($status, $out, $err) = tilesmith('run', '--shape', '1x1x1');
    ok($status eq '0' && $out =~ / on $emulator .* OK$/ && $err =~ /^tilesmith run: note: the GPU cannot be used \(/, 'a broken GPU is worth a note') or diag("$out$err");
    delete $ENV{FAKE_CUDA_FAIL};
}
SKIP: {
    skip 'there is a GPU', 1 if have_gpu();
    refused(1, qr/libcuda\.so\.1|device/, 'run', '--device', 'gpu', '--shape', '1x1x1');
}

done_testing;
