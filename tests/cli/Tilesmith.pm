# Tilesmith.pm: what the tests of the command line share. The program is $TILESMITH, or build/tilesmith.
package Tilesmith;
use strict;
use warnings;
use Exporter 'import';
use File::Temp 'tempdir';
use Test::More;
our @EXPORT = qw(tilesmith works refused tmp spew slurp npy have_gpu);

my $program = $ENV{TILESMITH} || 'build/tilesmith';
my $tmp = tempdir('tilesmith-cli-XXXXXX', TMPDIR => 1, CLEANUP => 1);

# A path in a directory that goes with the test.
sub tmp { return "$tmp/$_[0]" }

sub slurp {
    my ($path) = @_;
    open my $f, '<:raw', $path or return undef;
    local $/;
    return scalar <$f>;
}

sub spew {
    my ($path, $bytes) = @_;
    open my $f, '>:raw', $path or die "$path: $!";
    print $f $bytes;
    close $f or die "$path: $!";
    return $path;
}

# Runs the program; returns exit status (or "signal N"), stdout and stderr.
sub tilesmith {
    my @args = @_;
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        open STDOUT, '>', tmp('stdout') or die;
        open STDERR, '>', tmp('stderr') or die;
        exec $program, @args or exit 127;
    }
    waitpid $pid, 0;
    my $status = $? & 127 ? 'signal ' . ($? & 127) : $? >> 8;
    return ($status, slurp(tmp('stdout')), slurp(tmp('stderr')));
}

# It succeeds and says nothing on stderr; returns stdout.
sub works {
    my ($what, @args) = @_;
    my ($status, $out, $err) = tilesmith(@args);
    ok($status eq '0' && $err eq '', $what)
        or diag("tilesmith @args\n  exit $status, stdout: $out  stderr: $err");
    return $out;
}

# It ends with this status, one sentence on stderr that names the command and matches, and no output.
sub refused {
    my ($wanted, $sentence, @args) = @_;
    my ($status, $out, $err) = tilesmith(@args);
    my ($first) = split /\n/, $err;
    my $command = @args && $args[0] =~ /^(gen|list|run|bench|tune|explain|devices)$/ ? "tilesmith $1: " : 'tilesmith: ';
    my $good = $status eq $wanted && defined $first && index($first, $command) == 0 && $first =~ $sentence && $out eq '';
    ok($good, "exit $wanted, $sentence: tilesmith @args")
        or diag("  exit $status, stdout: $out  stderr: $err");
}

# The bytes of an npy file. npy('<f4', [2, 3], $data, version => 2, order => 'True')
sub npy {
    my ($descr, $shape, $data, %o) = @_;
    my $version = $o{version} || 1;
    my $order = $o{order} || 'False';
    my $dictionary = "{'descr': '$descr', 'fortran_order': $order, 'shape': (" . join('', map {"$_, "} @$shape) . "), }\n";
    return "\x93NUMPY" . chr($version) . "\0" . pack($version == 1 ? 'v' : 'V', length $dictionary) . $dictionary . $data;
}

sub have_gpu {
    my (undef, $out) = tilesmith('devices');
    return $out =~ /^gpu \d+: .*sm_/m;
}

1;
