#!/usr/bin/env perl
# ptx-subset.pl: writes the tables of docs/ptx-subset.md from gen/ptx/ops.h, between the marks of the page.
# Run it in the root of the repository after a change of ops.h; tests/docs.t compares.
#
#     docs/ptx-subset.pl            replaces the tables in the page
#     docs/ptx-subset.pl --print    prints the page as it should be
use strict;
use warnings;

my $page = 'docs/ptx-subset.md';

sub slurp {
    my ($path) = @_;
    open my $f, '<', $path or die "$path: $!\n";
    local $/;
    return <$f>;
}

sub version { my ($x10) = @_; return int($x10 / 10) . '.' . $x10 % 10 }

# A string of C, as its text.
sub unquoted { my ($c) = @_; $c =~ s/\\(.)/$1/g; return $c }

sub row {
    my ($name, $sm, $version, $flags, $text, $section) = @_;
    $text = unquoted($text);
    $text = length $text ? "`$text`" : '(an empty line)';
    $flags = join ', ', map { lc } grep { $_ ne '0' } split /\s*\|\s*/, $flags;
    return "| $name | $text | $sm | " . version($version) . " | $flags | $section |\n";
}

sub heading {
    my ($title) = @_;
    return "\n### \u$title\n\n| row | text | sm | PTX | flags | section |\n|---|---|---|---|---|---|\n";
}

# The rows of a macro of ops.h that makes one for each N: one line, of what the lists of N begin and end with.
sub family {
    my ($ops, $macro) = @_;
    my ($list) = $ops =~ /#define PTX_WGMMA_N\(ROW, X\)((?:.*\\\n)*.*\n)/ or die "gen/ptx/ops.h has no PTX_WGMMA_N\n";
    my @n = $list =~ /ROW\(X, (\d+), \d+\)/g;
    my ($name, $rest) = $ops =~ /#define $macro\(X, n, acc\) \\\n\s*X\((\w+)##n, (.*)\)\n/ or die "gen/ptx/ops.h has no $macro\n";
    my ($sm, $version, $flags, $text, $section) = $rest =~ /^(\d+), (\d+), ([\w |]+?), (".*"), "([\d.]+)"$/ or die "gen/ptx/ops.h: $macro does not read\n";
    $text =~ s/" #n "/N/;
    $text =~ s/\{" #acc "/{N\/2 /;
    return (row("$name$n[0] .. N$n[-1]", $sm, $version, $flags, $text =~ s/^"|"$//gr, $section), scalar @n);
}

my $ops = slurp('gen/ptx/ops.h');
my ($rows) = $ops =~ /#define PTX_OPS\(X\)(.*?)\n\n/s or die "gen/ptx/ops.h has no PTX_OPS\n";
my ($out, $n) = ('', 0);
for my $line (split /\n/, $rows) {
    if ($line =~ m{^/\* (.*?) \*/}) {
        $out .= heading($1);
    } elsif ($line =~ /^X\((\w+),\s*(\d+),\s*(\d+),\s*([\w |]+?),\s*"((?:[^"\\]|\\.)*)",\s*"([\d.]+)"\)/) {
        $out .= row($1, $2, $3, $4, $5, $6);
        $n++;
    } elsif ($line =~ /^PTX_WGMMA\(X\)/) {
        for my $macro ('PTX_WGMMA_F16', 'PTX_WGMMA_BF16', 'PTX_WGMMA_A_F16', 'PTX_WGMMA_A_BF16') {
            my ($text, $rows) = family($ops, $macro);
            $out .= $text;
            $n += $rows;
        }
    } elsif ($line =~ /\bX\(/) {
        die "gen/ptx/ops.h: this row does not read: $line\n";
    }
}
$out = "$n rows.\n$out";

my $text = slurp($page);
$text =~ s/(<!-- rows -->\n).*?(<!-- end of rows -->)/$1$out$2/s or die "$page has no marks for its tables\n";
if (@ARGV && $ARGV[0] eq '--print') {
    print $text;
} else {
    open my $f, '>', $page or die "$page: $!\n";
    print $f $text;
    close $f or die "$page: $!\n";
}
