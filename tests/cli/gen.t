#!/usr/bin/perl
# tilesmith gen and list: what is written where, and what is refused.
use strict;
use warnings;
use lib 'tests/cli';
use Tilesmith;
use Test::More;

# ---- what is written ----
my $default = works('a kernel on standard output', 'gen');
my ($name) = $default =~ m{^// config: (\S+)$}m;
is($name, 'mma_sm89_f16_128x128x32_w2x4_s3', 'it is the default one');
like($default, qr/\n}\n\z/, 'whole');
is(works('the same with -o -', 'gen', '-o', '-'), $default, '- is standard output');
is(works('its parts spelled out', 'gen', qw(--arch sm_89 --dtype f16 --tile 128x128x32 --warps 2x4 --stages 3)), $default, 'give the same');
is(works('by its name', 'gen', '--config', $name), $default, 'gives the same');
is(works('its epilogue spelled out', 'gen', '--epilogue', 'z+s*sigmoid( z )'), $default, 'gives the same');

sub config_of { my $text = works("gen @_", 'gen', @_); return $text =~ m{^// config: (\S+)$}m ? $1 : 'none' }
is(config_of(qw(--arch sm_80 --dtype bf16)), 'mma_sm80_bf16_128x128x32_w2x4_s3', 'arch and dtype');
is(config_of(qw(--tile 64x32x32 --warps 2x2 --stages 4)), 'mma_sm89_f16_64x32x32_w2x2_s4', 'tile, warps, stages');
is(config_of(qw(--group-m 4 --x-copy-bytes 8 --w-copy-bytes 4 --y-store-bytes 2)), "${name}_g4_vx8_vw4_vy2", 'the other fields');
is(config_of('--config', $name, '--arch', 'sm_86', '--stages', 2), 'mma_sm86_f16_128x128x32_w2x4_s2', 'options change a named config');
is(config_of('--config', "${name}_g4", '--dtype', 'bf16'), 'mma_sm89_bf16_128x128x32_w2x4_s3_g4', 'its types too');

# ---- where ----
works('to a file', 'gen', '-o', tmp('a.ptx'));
is(slurp(tmp('a.ptx')), $default, 'holds the kernel');
mkdir tmp('dir');
works('to a directory', 'gen', '-o', tmp('dir'));
is(slurp(tmp("dir/$name.ptx")), $default, 'the file is named after the config');
works('to a directory with a slash', 'gen', '--stages', 2, '--output', tmp('dir/'));
is(join(' ', map { s{.*/}{}r } sort glob tmp('dir/*')), "mma_sm89_f16_128x128x32_w2x4_s2.ptx $name.ptx", 'and nothing else is there');

symlink 'a.ptx', tmp('link.ptx');
works('through a link', 'gen', '--stages', 2, '-o', tmp('link.ptx'));
ok(-l tmp('link.ptx') && slurp(tmp('a.ptx')) =~ /_s2$/m, 'the link stays and its target is replaced');

# ---- the shipped set ----
mkdir tmp('all');
like(works('the shipped set', 'gen', '--all', '-o', tmp('all')), qr/^(\d+) kernels written to /, 'says how many');
my @shipped = glob tmp('all/*.ptx');
cmp_ok(scalar @shipped, '>=', 10, 'about a dozen');
for my $file (@shipped) {
    my ($config) = $file =~ m{([^/]+)\.ptx$};
    is(slurp($file), works($config, 'gen', '--config', $config), 'is what its name gives');
}

# ---- what cannot be written ----
refused(1, qr{cannot write /no/such/dir/k.ptx: No such file}, 'gen', '-o', '/no/such/dir/k.ptx');
refused(1, qr{cannot write .*missing/.*: No such file}, 'gen', '-o', tmp('missing/'));
refused(1, qr{not a directory}, 'gen', '--all', '-o', tmp('missing'));
refused(1, qr{not a directory}, 'gen', '--all', '-o', tmp('a.ptx'));
refused(2, qr/wants a name, not the file 'mma_sm89_f16_64x64x32_w2x2_s3.ptx'/, 'gen', '--config', 'mma_sm89_f16_64x64x32_w2x2_s3.ptx');
refused(1, qr{No space left}, 'gen', '-o', '/dev/full') if -w '/dev/full';

# A file that can grow to 4 KB only: the old content stays and no part is left.
spew(tmp('old.ptx'), 'old');
{
    local $SIG{XFSZ} = 'IGNORE';
    my $program = $ENV{TILESMITH} || 'build/tilesmith';
    my $path = tmp('old.ptx');
    my $message = `(ulimit -f 8; exec $program gen -o $path) 2>&1`;
    is($? >> 8, 1, 'a disk that fills up fails');
    like($message, qr/^tilesmith gen: cannot write \Q$path\E: File too large$/m, 'with a sentence');
}
is(slurp(tmp('old.ptx')), 'old', 'the old file is as it was');
is(scalar(() = glob tmp('*.tmp')), 0, 'no temporary file is left');

# ---- what is no config, and what cannot work ----
refused(2, qr/--arch 'sm_12' is not known; known are sm_80/, 'gen', '--arch', 'sm_12');
refused(2, qr/--dtype 'f64' is not known/, 'gen', '--dtype', 'f64');
refused(2, qr/--dtype 'f32' is not known/, 'gen', '--dtype', 'f32');
refused(2, qr/'128x128' is not a tile/, 'gen', '--tile', '128x128');
refused(2, qr/'axbxc' is not a tile/, 'gen', '--tile', 'axbxc');
refused(2, qr/'-1x64x32' is not a tile/, 'gen', '--tile', '-1x64x32');
refused(2, qr/'2x4x8' is not a layout of warps/, 'gen', '--warps', '2x4x8');
refused(2, qr/--stages wants an integer/, 'gen', '--stages', 'three');
refused(2, qr/--stages wants an integer.*'-1'/, 'gen', '--stages', '-1');
refused(2, qr/--stages wants an integer.*'99999999999'/, 'gen', '--stages', '99999999999');
refused(2, qr/nonsense/, 'gen', '--config', 'nonsense');
refused(2, qr/sm75/, 'gen', '--config', 'mma_sm75_f16_128x128x32_w2x4_s3');
refused(2, qr/./, 'gen', '--config', "${name}_q7");
refused(2, qr/./, 'gen', '--config', $name x 10);
refused(2, qr/./, 'gen', '--epilogue', 'z +');
refused(2, qr/./, 'gen', '--epilogue', 'foo(z)');
refused(2, qr/./, 'gen', '--epilogue', '');
refused(2, qr/--all writes a fixed set; leave out --arch/, 'gen', '--all', '--arch', 'sm_80', '-o', tmp('all'));
refused(2, qr/--all needs -o DIR/, 'gen', '--all');

refused(1, qr/\d+ B of shared memory; sm_89 allows 101376/, 'gen', qw(--tile 256x128x64 --warps 4x2 --stages 6));
refused(1, qr/./, 'gen', '--stages', 1);
refused(1, qr/./, 'gen', '--stages', 0);
refused(1, qr/./, 'gen', '--tile', '100x100x32');
refused(1, qr/./, 'gen', '--warps', '16x16');
refused(1, qr/./, 'gen', '--x-copy-bytes', 3);
refused(1, qr/./, 'gen', '--y-store-bytes', 7);
refused(1, qr/./, 'gen', '--group-m', 0);

# ---- list ----
my @lines = split /\n/, works('a list', 'list');
like(shift @lines, qr/^# config +threads +shared +blocks.SM +registers$/, 'has a heading');
is(scalar(grep { !/^(wg)?mma_sm\d+a?_b?f16_\S+ +\d+ +\d+ B +\d+ +\d+$/ } @lines), 0, 'and one line a config');
my @some = split /\n/, works('of one arch and type', 'list', qw(--arch sm_86 --dtype bf16));
is_deeply([grep { !/^#/ } @some], [grep {/^mma_sm86_bf16_/} @lines], 'is a part of it');
cmp_ok(scalar @some, '>', 10, 'of more than ten');
my @refused = split /\n/, works('what is refused', 'list', '--refused');
is(scalar(grep { !/^# |^(wg)?mma_\S+ +\S+ .* / } @refused), 0, 'has a sentence each');
my %listed = map { (split)[0] => 1 } @lines;
is(scalar(grep { !/^#/ && $listed{(split)[0]} } @refused), 0, 'and is not listed as working');
refused(2, qr/--arch 'sm_12' is not known/, 'list', '--arch', 'sm_12');
refused(2, qr/--dtype 'int8' is not known/, 'list', '--dtype', 'int8');

done_testing;
