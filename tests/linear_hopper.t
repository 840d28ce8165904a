#!/usr/bin/perl
# tests/linear.c on an sm_90: ts_linear() with kernels of wgmma, and what is packed for them.
use strict;
use warnings;

$ENV{TILESMITH_EMU_SM} = 90;
exec "$ENV{TILESMITH_BUILD}/tests/linear" or die "Bail out! build/tests/linear: $!\n";
