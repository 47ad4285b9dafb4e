# Verify the DKIM signatures of messages with Mail::DKIM, which shares no code with ours or dkimpy.
#
#   perl mail_dkim_verify.pl RECORDS MESSAGE...
#
# RECORDS holds one "name<TAB>TXT value" a line and takes the place of DNS. Prints one line for each
# signature: file, selector, algorithm, result, detail (separated by tabs).
use strict;
use warnings;

package Zone;

sub new { my ( $class, $records ) = @_; return bless { records => $records }, $class }

sub send {
    my ( $self, $name, $type ) = @_;
    my $packet = Net::DNS::Packet->new( $name, $type );
    my $value = $self->{records}{ lc $name };
    if ( defined $value ) {
        my @strings = $value =~ /(.{1,255})/gs;
        $packet->push(
            answer => Net::DNS::RR->new( name => $name, type => 'TXT', ttl => 60, txtdata => \@strings ) );
    }
    else {
        $packet->header->rcode('NXDOMAIN');
    }
    return $packet;
}
sub errorstring { return 'NXDOMAIN' }

package main;
use Net::DNS;
use Mail::DKIM::DNS;
use Mail::DKIM::Verifier;

my $records_file = shift @ARGV;
my %records;
open my $zone, '<', $records_file or die "$records_file: $!";
while (<$zone>) { chomp; my ( $name, $value ) = split /\t/, $_, 2; $records{ lc $name } = $value }
close $zone;
Mail::DKIM::DNS::resolver( Zone->new( \%records ) );

for my $file (@ARGV) {
    open my $message, '<:raw', $file or die "$file: $!";
    local $/ = undef;
    my $content = <$message>;
    close $message;
    my $verifier = Mail::DKIM::Verifier->new();
    $verifier->PRINT($content);
    $verifier->CLOSE();
    for my $signature ( $verifier->signatures ) {
        my @row = ( $signature->selector, $signature->algorithm, $signature->result, $signature->result_detail );
        print join( "\t", $file, map { my $cell = $_ // ''; $cell =~ s/\s+/ /g; $cell } @row ), "\n";
    }
}
