#!/bin/sh
# Checks the form of log messages (docs/LOGGING.md): a constant text in lower case without a full
# stop, data in fields, and no field that holds a secret or personal data.
#
# usage: scripts/check-logs.sh [FOLDER]
set -eu
cd "${1:-$(dirname "$0")/..}"

# One finding per line; an event may span several lines, hence the whole file in one string.
# shellcheck disable=SC2016 # its variables are Perl's
findings=$(find ./*/src -name '*.rs' -print0 | xargs -0 perl -0777 -ne '
    s/^#\[cfg\(test\)\].*//ms;
    while (/\b(?:tracing::)?(trace|debug|info|warn|error)!\s*\(((?:[^()"]|"(?:[^"\\]|\\.)*"|(\((?:[^()]|(?3))*\)))*)\)/sg) {
        my ($args, $line) = ($2, 1 + (substr($_, 0, $-[0]) =~ tr/\n//));
        my @texts = $args =~ /"((?:[^"\\]|\\.)*)"/sg;
        my $message = @texts ? $texts[-1] : "";
        print "$ARGV:$line: message is not constant: $message\n" if $message =~ /[{}]/;
        print "$ARGV:$line: message ends with a full stop: $message\n" if $message =~ /\.$/;
        print "$ARGV:$line: message starts with a capital: $message\n" if $message =~ /^(?!Consul|Redis|Rabbit)[A-Z][a-z]/;
        print "$ARGV:$line: field holds a secret: $1\n"
            if $args =~ /\b((?:\w+\.)?(?:password|secret|token|email|phone|body))\s*=[^=]/;
    }')
if [ -n "$findings" ]; then
    printf '%s\n' "$findings" >&2
    exit 1
fi
echo "check-logs: every message has the agreed form"
