# A client of the server's own protocol, so that a test can have many connections at work at once in one process, bind
# every parameter (extended protocol), and count each error by its SQLSTATE. Connects to a node of PostgreSQL::Test::Cluster
# by its socket, as the test's own user, without a password.
package Mirox::Wire;
use strict;
use warnings;
use Carp qw(croak);
use Errno qw(EINTR);
use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;

my $patience = $ENV{PG_TEST_TIMEOUT_DEFAULT} || 180;

# connect($node, dbname => …, user => …): a connection that is ready.
sub connect
{
	my ($class, $node, %options) = @_;
	my $host = $node->host;
	my $socket =
	  $host =~ m{^/}
	  ? IO::Socket::UNIX->new(Peer => "$host/.s.PGSQL." . $node->port)
	  : IO::Socket::INET->new(PeerAddr => $host, PeerPort => $node->port);
	croak "no connection to @{[ $node->name ]}: $!" unless $socket;
	binmode $socket;
	my $self = bless { socket => $socket, in => '', parameters => {}, encoding => $options{encoding} // 'UTF8' }, $class;
	my %startup = (
		user             => $options{user}   // scalar getpwuid($<),
		database         => $options{dbname} // 'postgres',
		client_encoding  => $self->{encoding},
		application_name => $options{name} // 'wire');
	my $body = pack('N', 196608) . join('', map { "$_\0$startup{$_}\0" } sort keys %startup) . "\0";
	$self->_write(pack('N', 4 + length $body) . $body);
	$self->{busy} = 1;
	my $result = $self->wait;
	croak "connection refused: $result->{message}" if $result->{state};
	return $self;
}

sub close
{
	my $self = shift;
	return unless $self->{socket};
	eval { $self->_write("X" . pack('N', 4)) };
	close $self->{socket};
	delete $self->{socket};
	return;
}
sub DESTROY { local ($@, $!); eval { $_[0]->close }; return; }

sub _write
{
	my ($self, $bytes) = @_;
	local $SIG{PIPE} = 'IGNORE';
	while (length $bytes)
	{
		my $n = syswrite($self->{socket}, $bytes);
		if (defined $n) { substr($bytes, 0, $n, ''); }
		elsif ($! != EINTR) { croak "write failed: $!"; }
	}
	return;
}

# The sockets that have something to read; none when nothing has come in time. A child of the test that ends meanwhile (a load
# that it has started) interrupts the wait, and does not end it.
sub _readable
{
	my $select = shift;
	my $until  = time + $patience;
	while ((my $left = $until - time) > 0)
	{
		local $! = 0;
		my @ready = $select->can_read($left);
		return @ready if @ready || $! != EINTR;
	}
	return;
}

sub _message { return $_[0] . pack('N', 4 + length $_[1]) . $_[1]; }

# send($sql, @parameters): starts a statement, its parameters bound as text (undef: NULL). An array reference is sent as a
# text array.
sub send
{
	my ($self, $sql, @parameters) = @_;
	return $self->_start($sql, _message('P', "\0$sql\0" . pack('n', 0)), _bound('', @parameters));
}

# prepare($name, $sql): starts to prepare a statement by name. execute($name, @parameters): starts to run it.
sub prepare
{
	my ($self, $name, $sql) = @_;
	return $self->_start($sql, _message('P', "$name\0$sql\0" . pack('n', 0)));
}
sub execute { my ($self, $name, @parameters) = @_; return $self->_start($name, _bound($name, @parameters)); }

sub _bound
{
	my ($name, @parameters) = @_;
	my @values = map { ref $_ eq 'ARRAY' ? '{' . join(',', map { "\"$_\"" } @$_) . '}' : $_ } @parameters;
	my $bind = "\0$name\0" . pack('nn', 0, scalar @values)
	  . join('', map { defined $_ ? pack('N', length $_) . $_ : pack('N', 0xffffffff) } @values) . pack('n', 0);
	return _message('B', $bind) . _message('E', "\0" . pack('N', 0));
}

sub _start
{
	my ($self, $sql, @messages) = @_;
	croak "still busy with: $self->{sql}" if $self->{busy};
	$self->{sql}  = $sql;
	$self->{busy} = 1;
	$self->_write(join('', @messages) . _message('S', ''));
	return;
}

# script($sql): starts one or more statements by the simple protocol.
sub script
{
	my ($self, $sql) = @_;
	croak "still busy with: $self->{sql}" if $self->{busy};
	$self->{sql}  = $sql;
	$self->{busy} = 1;
	$self->_write(_message('Q', "$sql\0"));
	return;
}

# Reads what has come. True when the statement is over; then result() has it.
sub pump
{
	my $self = shift;
	my $n = sysread($self->{socket}, $self->{in}, 65536, length $self->{in});
	return 0 if !defined $n && $! == EINTR;
	if (!$n)
	{
		@$self{qw(busy lost)} = (0, 1);
		$self->{result}{state} //= '08006';
		$self->{result}{message} //= 'the connection was lost';
		return 1;
	}
	while (length $self->{in} >= 5)
	{
		my ($type, $size) = unpack('aN', $self->{in});
		last if length $self->{in} < $size + 1;
		my $body = substr($self->{in}, 5, $size - 4);
		substr($self->{in}, 0, $size + 1, '');
		my $result = $self->{result} //= { rows => [], notices => [] };
		if ($type eq 'D')
		{
			my ($count, $at, @row) = (unpack('n', $body), 2);
			for (1 .. $count)
			{
				my $length = unpack('N', substr($body, $at, 4));
				$at += 4;
				if ($length == 0xffffffff) { push @row, undef; next; }
				push @row, substr($body, $at, $length);
				$at += $length;
			}
			push @{ $result->{rows} }, \@row;
		}
		elsif ($type eq 'E' || $type eq 'N')
		{
			my %field = map { (substr($_, 0, 1) => substr($_, 1)) } grep { length } split /\0/, $body;
			if ($type eq 'N') { push @{ $result->{notices} }, \%field; next; }
			@$result{qw(state message detail hint fields)} = (@field{qw(C M D H)}, \%field);
		}
		elsif ($type eq 'R')
		{
			croak 'the server asks for a password' if unpack('N', $body) != 0;
		}
		elsif ($type eq 'K') { $self->{pid} = unpack('N', $body); }
		elsif ($type eq 'Z')
		{
			$self->{transaction} = $body;    # I: none, T: in one, E: in a failed one
			$self->{busy} = 0;
			return 1;
		}
	}
	return 0;
}

# The result of the last statement: rows; state, message, detail, hint when it failed.
sub result
{
	my $self = shift;
	return delete $self->{result} || { rows => [], notices => [] };
}

sub wait
{
	my $self   = shift;
	my $select = IO::Select->new($self->{socket});
	while ($self->{busy})
	{
		croak 'no answer to: ' . ($self->{sql} // 'startup') unless _readable($select);
		$self->pump;
	}
	return $self->result;
}

# ---- a statement at a time ---------------------------------------------------------------------------------------

sub run { my ($self, @statement) = @_; $self->send(@statement); return $self->wait; }

# The rows; dies of an error.
sub rows
{
	my ($self, @statement) = @_;
	my $result = $self->run(@statement);
	croak "$result->{state}: $result->{message} in: $statement[0]" if $result->{state};
	return @{ $result->{rows} };
}

# The first column of the first row.
sub value { my ($self, @statement) = @_; my ($row) = $self->rows(@statement); return $row ? $row->[0] : undef; }

# The SQLSTATE that it fails with; 'ok' when it does not.
sub state { my ($self, @statement) = @_; return $self->run(@statement)->{state} // 'ok'; }

# ---- many at once --------------------------------------------------------------------------------------------------

# drive($next, @connections): keeps all at work. $next->($connection, $result) gives the next statement as an array
# reference, or undef when the connection is done; $result is undef the first time.
sub drive
{
	my ($next, @connections) = @_;
	my $select = IO::Select->new;
	my %of;
	my $advance = sub {
		my ($connection, $result) = @_;
		my $statement = $connection->{lost} ? undef : $next->($connection, $result);
		if ($statement) { $connection->send(@$statement); return; }
		$select->remove($connection->{socket});
	};
	for my $connection (@connections)
	{
		$of{ fileno $connection->{socket} } = $connection;
		$select->add($connection->{socket});
	}
	$advance->($_, undef) for @connections;
	while ($select->count)
	{
		my @ready = _readable($select);
		croak 'no answer from ' . $select->count . ' connections: ' . join('; ', map { $_->{sql} } grep { $_->{busy} } @connections)
		  unless @ready;
		for my $socket (@ready)
		{
			my $connection = $of{ fileno $socket };
			$advance->($connection, $connection->result) if $connection->pump;
		}
	}
	return;
}

# all($statement_of, @connections): one statement on each, at once; the results in the same order.
sub all
{
	my ($statement_of, @connections) = @_;
	my %result;
	drive(
		sub {
			my ($connection, $result) = @_;
			return $statement_of->($connection) unless $result;
			$result{$connection} = $result;
			return undef;
		},
		@connections);
	return map { $result{$_} } @connections;
}

1;
