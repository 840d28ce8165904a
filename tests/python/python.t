#!/usr/bin/perl
# The Python package and the benchmarks' reports: tests/python/test_*.py. What needs torch or a GPU skips itself.
use strict;
use warnings;
use Test::More;

my $build = $ENV{TILESMITH_BUILD} || 'build';
plan skip_all => 'there is no python3 from 3.9 on'
    if system('python3 -c "import sys; sys.exit(sys.version_info < (3, 9))" >/dev/null 2>&1') != 0;
plan skip_all => 'a library with sanitizers cannot be opened by python'
    if `cat $build/libtilesmith.so` =~ /libasan|__asan_init/;

my $said = `PYTHONDONTWRITEBYTECODE=1 python3 -m unittest discover -s tests/python 2>&1`;
my $good = $? == 0;
ok($good, 'python3 -m unittest discover -s tests/python') or diag($said);
note($1) if $said =~ /^(Ran .*|OK.*)$/m;
done_testing;
