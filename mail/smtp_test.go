package mail

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"stockflow/machines/notification"
)

func sample(t *testing.T, address string) Email {
	t.Helper()
	l, err := newWriter(t).Write("o-1", notification.Mail{Notify: to(notification.Confirmed, address)})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestSettingsThatCanNotWorkAreNamed(t *testing.T) {
	for _, c := range []struct{ address, security, user, want string }{
		{"", TLSAuto, "", "is not HOST:PORT"},
		{":25", TLSAuto, "", "is not HOST:PORT"},
		{"smtp://mail.example.org", TLSAuto, "", "is not a port"},
		{"mail/example.org", TLSAuto, "", "is not HOST:PORT"},
		{"mail.example.org:smtp", TLSAuto, "", `"smtp" is not a port`},
		{"mail.example.org:0", TLSAuto, "", "is not a port"},
		{"mail.example.org:70000", TLSAuto, "", "is not a port"},
		{"mail.example.org:25", TLSPlain, "ada", "in the clear"},
		{"192.0.2.1:25", TLSPlain, "ada", "in the clear"},
	} {
		if _, err := NewSMTP(c.address, c.security, c.user, "secret"); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestPortAndTLSFollowEachOther(t *testing.T) {
	for _, c := range []struct {
		address, security string
		host              string
		port              int
		becomes           string
	}{
		{"mail.example.org", TLSAuto, "mail.example.org", 587, TLSStart},
		{"mail.example.org:465", TLSAuto, "mail.example.org", 465, TLSDirect},
		{"mail.example.org:25", TLSAuto, "mail.example.org", 25, TLSStart},
		{"mail.example.org", TLSDirect, "mail.example.org", 465, TLSDirect},
		{"localhost", TLSPlain, "localhost", 25, TLSPlain},
		{"[::1]:2525", TLSPlain, "::1", 2525, TLSPlain},
		{"[::1]", TLSPlain, "::1", 25, TLSPlain},
	} {
		s, err := NewSMTP(c.address, c.security, "", "")
		if err != nil || s.host != c.host || s.port != c.port || s.security != c.becomes {
			t.Errorf("%+v: %+v, %v", c, s, err)
		}
	}
}

// keyPair is a certificate of 127.0.0.1, and who trusts it.
func keyPair(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	plan := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, plan, plan, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// lock makes conversations of a relay ask for a password.
type lock struct{ *conversation }

func (lock) AuthMechanisms() []string { return []string{sasl.Plain} }

func (lock) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != "ada" || password != "s3cret" {
			return smtp.ErrAuthFailed
		}
		return nil
	}), nil
}

func TestStartTLSAndALogin(t *testing.T) {
	cert, trusted := keyPair(t)
	var relay *relay
	relay = newRelay(t, func(s *smtp.Server) {
		s.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}}
		s.Backend = smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
			session, err := relay.begin(c)
			if err != nil {
				return nil, err
			}
			return lock{session.(*conversation)}, nil
		})
	})
	send := func(security, password string, roots *x509.CertPool) error {
		s, err := NewSMTP(relay.address, security, "ada", password)
		if err != nil {
			t.Fatal(err)
		}
		s.roots = roots
		return s.Send(t.Context(), sample(t, "ada@example.org"))
	}
	if err := send(TLSStart, "s3cret", trusted); err != nil {
		t.Error(err)
	}
	for what, err := range map[string]error{
		"a wrong password":                         send(TLSStart, "guess", trusted),
		"a certificate nobody trusts":              send(TLSStart, "s3cret", nil),
		"TLS to a server that begins in the clear": send(TLSDirect, "s3cret", trusted),
	} {
		if err == nil || errors.As(err, new(*Refused)) {
			t.Errorf("%s is answered with %v, and is to be tried again", what, err)
		}
	}
	if n := len(relay.letters("")); n != 1 {
		t.Errorf("%d letters were taken", n)
	}
}

// Without TLS, a server that is to be spoken to over TLS gets nothing.
func TestAServerWithoutTLSGetsNothing(t *testing.T) {
	relay := newRelay(t)
	s, err := NewSMTP(relay.address, TLSAuto, "", "")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Send(t.Context(), sample(t, "ada@example.org")); err == nil || !strings.Contains(err.Error(), "STARTTLS") {
		t.Errorf("it is answered with %v", err)
	}
	if n := len(relay.letters("")); n != 0 {
		t.Errorf("%d letters were sent in the clear", n)
	}
}

func TestTLSFromTheFirstByte(t *testing.T) {
	cert, trusted := keyPair(t)
	inner := newRelay(t)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		t.Fatal(err)
	}
	server := smtp.NewServer(smtp.BackendFunc(inner.begin))
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	defer func() { _ = server.Close(); <-served }()
	s, err := NewSMTP(listener.Addr().String(), TLSDirect, "", "")
	if err != nil {
		t.Fatal(err)
	}
	s.roots = trusted
	if err := s.Send(t.Context(), sample(t, "ada@example.org")); err != nil {
		t.Error(err)
	}
	if n := len(inner.letters("")); n != 1 {
		t.Errorf("%d letters were taken", n)
	}
}

// TestASilentServerIsGivenUp, whether it never says a word or stops in the middle.
func TestASilentServerIsGivenUp(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	relay := newRelay(t)
	relay.moody("hang@example.org", "hang")
	for _, address := range []string{silent.Addr().String(), relay.address} {
		s, err := NewSMTP(address, TLSPlain, "", "")
		if err != nil {
			t.Fatal(err)
		}
		s.patience = 200 * time.Millisecond
		if err := s.Send(t.Context(), sample(t, "hang@example.org")); err == nil || errors.As(err, new(*Refused)) {
			t.Errorf("it is answered with %v", err)
		}
	}
}

// A conversation ends with its context, wherever it is.
func TestAStopBreaksOffAConversation(t *testing.T) {
	relay := newRelay(t)
	relay.moody("hang@example.org", "hang")
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-relay.hanging; cancel() }()
	if err := relay.plain().Send(ctx, sample(t, "hang@example.org")); err == nil {
		t.Error("a server that hangs has taken it")
	}
}

// What a server says about our login is no reason to give up an e-mail.
func TestOnlyRepliesToTheEMailAreForGood(t *testing.T) {
	relay := newRelay(t)
	for mood, refused := range map[string]bool{
		"550 rcpt": true, "552 data": true, "554 data": true,
		"530 rcpt": false, "535 rcpt": false, "421 rcpt": false, "452 data": false,
	} {
		relay.moody("ada@example.org", mood)
		err := relay.plain().Send(t.Context(), sample(t, "ada@example.org"))
		if err == nil || errors.As(err, new(*Refused)) != refused {
			t.Errorf("%s: %v", mood, err)
		}
	}
}
