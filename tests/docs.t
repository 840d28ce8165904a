#!/usr/bin/perl
# The pages of docs/ and the README: the table of PTX forms is that of ops.h, links lead somewhere, each C program
# compiles without a warning and runs on the emulator, the PTX that the README shows is what is written, and nothing
# that a page must name is missing.
use strict;
use warnings;
use Cwd 'abs_path';
use File::Temp 'tempdir';
use Test::More;

my $build = $ENV{TILESMITH_BUILD} || 'build';
my $emulator = abs_path($ENV{TILESMITH_EMU_LIB} || "$build/emu/libcuda.so.1");
my $dir = tempdir(CLEANUP => 1);
my @pages = ('README.md', sort glob 'docs/*.md');
my %text = map { $_ => slurp($_) } @pages;

sub slurp {
    my ($path) = @_;
    open my $f, '<', $path or die "$path: $!";
    local $/;
    return <$f>;
}

# Every one of the words must stand in the page, as code.
sub names_all {
    my ($page, $what, @words) = @_;
    my @missing = grep { $text{$page} !~ /`[^`\n]*(?<![\w-])\Q$_\E(?![\w-])[^`\n]*`/ } @words;
    ok(@words && !@missing, "$page names $what") or diag("missing: @missing");
}

# ---- pages against the code ----
my @wanted = split /\n/, qx{$^X docs/ptx-subset.pl --print};
my %has = map { $_ => 1 } split /\n/, $text{'docs/ptx-subset.md'};
ok(@wanted && join("\n", @wanted, '') eq $text{'docs/ptx-subset.md'}, 'the table of PTX forms is that of ops.h')
    or diag('run docs/ptx-subset.pl; the page lacks:', map { "\n$_" } grep { !$has{$_} } @wanted);

my ($struct) = slurp('gen/gen.h') =~ /typedef struct GenConfig \{(.*?)\} GenConfig;/s;
$struct =~ s{/\*.*?\*/}{}g;
my @fields = map { /(\w+)(?:\[\w+\])?$/ ? $1 : () } map { split /,/ } map { s/^\s*\w+ \**//r } split /;/, $struct =~ s/\n\s*/ /gr;
names_all('docs/configs.md', 'every field of a config', @fields);

my $header = slurp('runtime/tilesmith.h');
my ($status_rows) = $header =~ /#define TS_STATUSES\(X\)(.*?)\n\n/s;
my @statuses = map { "| `$_->[0]` | $_->[1] | $_->[2] |" } map { [/X\((TS_\w+), (\d+), "(.*?)"\)/] } $status_rows =~ /X\(TS_\w+, \d+, "[^"]*"\)/g;
is(join("\n", grep { index($text{'docs/runtime-api.md'}, $_) < 0 } @statuses), '', 'docs/runtime-api.md has the statuses with numbers and texts');
cmp_ok(scalar @statuses, '>', 10, 'which are more than ten');

my $expr = slurp('gen/expr.h');
my ($leaves, $functions) = $expr =~ /EXPR_LEAVES\(X\)(.*?)\n\n.*EXPR_FUNCTIONS\(X\)(.*?)\n\/\*/s;
names_all('docs/numerics.md', 'leaves and functions', "$leaves$functions" =~ /X\(\w+, +"(\w+)"/g);

my ($keys) = slurp('runtime/header.c') =~ /#define KEYS\(X\)(.*?)\n\n/s;
names_all('docs/kernel-file.md', 'every header line', $keys =~ /X\((\w+),/g);
my ($params) = slurp('runtime/header.h') =~ /#define RT_PARAMS\(X\)(.*?)\n\n/s;
names_all('docs/kernel-file.md', 'every parameter', $params =~ /X\((\w+), \w+\)/g);

my %variable = map { $_ => 1 } map { slurp($_) =~ /(?:getenv|setting)\("(TILESMITH\w*)"/g } glob "*/*.c";
names_all('docs/testing.md', 'every variable', sort keys %variable);
names_all('docs/testing.md', 'every test', grep { !/fake_cuda/ } glob 'tests/*.c tests/*.t tests/*/*.c tests/*/*.t');
my %target = map { $_ => 1 } slurp('Makefile') =~ /^\.PHONY: (.*)/m ? split(' ', $1) : ();
for my $page (@pages) {
    my @unknown = grep { !$target{$_} } $text{$page} =~ m{^    make ([a-z-]+)(?![\w/-])}mg, $text{$page} =~ /`make ([a-z-]+)`/g;
    is("@unknown", '', "$page: its make targets exist");
}

# The excerpt of a kernel in the README is that of the command which the README shows.
my ($shown) = $text{'README.md'} =~ m{^(    // ---- .*?)\n\n}ms;
my ($command) = $text{'README.md'} =~ m{^    build/tilesmith (gen --tile \S+ --warps \S+) -o kernels/k\.ptx$}m;
my $program = $ENV{TILESMITH} || 'build/tilesmith';
my $written = qx{$program $command -o -} =~ s/^ +//gmr;
$shown =~ s/^ +//gm;
cmp_ok($shown =~ tr/\n//, '>', 10, 'README.md shows some of a kernel');
cmp_ok(index($written, "$shown\n"), '>=', 0, 'which is as it is written');

# ---- links ----
for my $page (@pages) {
    my ($folder) = $page =~ m{^(.*/)?};
    my @dead = grep { !/^https?:/ && !-e(($folder // '') . $_) } $text{$page} =~ /\]\(([^)#\s]+)/g;
    is("@dead", '', "$page: its links lead somewhere");
}

# ---- programs ----
mkdir "$dir/kernels" or die;
symlink abs_path('ptx_out'), "$dir/ptx_out" or die;
my ($cuda_include) = grep { -e "$_/cuda.h" } '/usr/local/cuda/include', '/usr/include';

sub runs {
    my ($page, $code) = @_;
    my ($name) = $code =~ m{^/\* (\w+)\.c: } or return fail("$page: a program starts with its name");
    my $driver = $code =~ /<cuda\.h>/;
    my $library = $driver ? "$emulator" : abs_path("$build/" . ($page eq 'README.md' ? 'libtilesmith.a' : 'libtilesmith_rt.a'));
    my $include = $driver ? "-isystem $cuda_include" : '-Iruntime';
    open my $f, '>', "$dir/$name.c" or die;
    print $f $code;
    close $f;
    my $log = qx{gcc -Wall -Wextra $include $dir/$name.c $library -ldl -lm -pthread -o $dir/$name 2>&1};
    is("$?$log", '0', "$page: $name.c compiles") or return;
    my ($folder) = $emulator =~ m{(.*)/};
    my $out = qx{cd $dir && LD_LIBRARY_PATH=$folder ./$name $emulator 2>&1};
    is($?, 0, "$page: $name runs") or diag($out);
    my ($promised) = $code =~ m{printf\(.*?/\* ([\d. ]+) \*/} ? $1 : $text{$page} =~ /both print ([\d. ]+\d)/ ? $1 : '';
    is($out, "$promised\n", 'and prints what the page says') if $promised;
}

SKIP: {
    skip 'the examples are built for the plain build', 1 if $build ne 'build' || system('gcc --version >/dev/null 2>&1');
    for my $page (@pages) {
        for my $config ($text{$page} =~ /^    build\/tilesmith gen --config (\S+) -o kernels\/$/mg) {
            is(system("$program gen --config $config -o $dir/kernels/"), 0, "$page: its kernel is written");
        }
        for my $code ($text{$page} =~ /^```c\n(.*?)^```$/msg) {
            next unless $code =~ /int main\(/;
            SKIP: {
                skip 'no cuda.h here', 1 if $code =~ /<cuda\.h>/ && !$cuda_include;
                runs($page, $code);
            }
        }
    }
}

done_testing;
