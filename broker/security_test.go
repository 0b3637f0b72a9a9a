package broker

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"stockflow/stockflowtest"
	"stockflow/stockflowtest/fake"
)

// certificates are those that the tests speak of.
type certificates struct {
	authority, stranger          *stockflowtest.Authority
	good, expired, other, client stockflowtest.Signed
}

func sign(t *testing.T) certificates {
	a, stranger := stockflowtest.NewAuthority(t), stockflowtest.NewAuthority(t)
	hence, ago := time.Now().Add(time.Hour), time.Now().Add(-time.Hour)
	return certificates{
		authority: a, stranger: stranger,
		good: a.Sign("kafka", hence), expired: a.Sign("late", ago), other: stranger.Sign("other", hence), client: a.Sign("stockflow", hence),
	}
}

// server is the end of a broker; with ask it wants to know who comes.
func server(of stockflowtest.Signed, ask *x509.CertPool) *tls.Config {
	c := &tls.Config{Certificates: []tls.Certificate{of.Pair}}
	if ask != nil {
		c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, ask
	}
	return c
}

// trusting is our end.
func trusting(a *stockflowtest.Authority, own ...stockflowtest.Signed) *tls.Config {
	c := &tls.Config{RootCAs: a.Pool}
	for _, s := range own {
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &s.Pair, nil }
	}
	return c
}

// We get in by each way.
func TestSecurityLetsIn(t *testing.T) {
	is := sign(t)
	users := []kfake.Opt{
		kfake.EnableSASL(), kfake.Superuser("PLAIN", "shop", "secret"),
		kfake.Superuser("SCRAM-SHA-256", "shop", "secret"), kfake.Superuser("SCRAM-SHA-512", "shop", "secret"),
	}
	overTLS := kfake.TLS(server(is.good, nil))
	for name, test := range map[string]struct {
		broker []kfake.Opt
		ours   Security
	}{
		"TLS":                 {[]kfake.Opt{overTLS}, Security{TLS: trusting(is.authority)}},
		"client certificate":  {[]kfake.Opt{kfake.TLS(server(is.good, is.authority.Pool))}, Security{TLS: trusting(is.authority, is.client)}},
		"PLAIN":               {users, Security{Login: Plain, User: "shop", Password: "secret"}},
		"SCRAM-SHA-256":       {users, Security{Login: ScramSHA256, User: "shop", Password: "secret"}},
		"SCRAM-SHA-512":       {users, Security{Login: ScramSHA512, User: "shop", Password: "secret"}},
		"SCRAM-512, with TLS": {append(users, overTLS), Security{TLS: trusting(is.authority), Login: ScramSHA512, User: "shop", Password: "secret"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := kafka(t, 1, test.broker...)
			c.Security = test.ours
			ensure(t, c, 1, shop...)
			produce(t, c, "orders", "a")
		})
	}
}

// Each way of being refused says which it is, and comes by itself.
func TestSecurityRefuses(t *testing.T) {
	is := sign(t)
	late := is.authority.Sign("stockflow", time.Now().Add(-time.Hour))
	users := []kfake.Opt{kfake.EnableSASL(), kfake.Superuser("PLAIN", "shop", "secret"), kfake.Superuser("SCRAM-SHA-512", "shop", "secret")}
	asks := []kfake.Opt{kfake.TLS(server(is.good, is.authority.Pool))}
	for name, test := range map[string]struct {
		broker []kfake.Opt
		ours   Security
		want   string
	}{
		"an authority that is unknown": {[]kfake.Opt{kfake.TLS(server(is.other, nil))}, Security{TLS: trusting(is.authority)},
			"authority that isn't trusted"},
		"the broker's certificate has expired": {[]kfake.Opt{kfake.TLS(server(is.expired, nil))}, Security{TLS: trusting(is.authority)},
			"broker's certificate has expired"},
		"the broker's certificate is another's": {[]kfake.Opt{kfake.TLS(server(is.good, nil))}, Security{TLS: &tls.Config{RootCAs: is.authority.Pool, ServerName: "elsewhere"}},
			"for another name"},
		"our certificate has expired":       {asks, Security{TLS: trusting(is.authority, late)}, "refuses our certificate, which has expired at"},
		"our certificate is of a stranger":  {asks, Security{TLS: trusting(is.authority, is.other)}, "refuses our certificate, or"},
		"we have no certificate":            {asks, Security{TLS: trusting(is.authority)}, "refuses our certificate"},
		"plaintext where TLS is spoken":     {[]kfake.Opt{kfake.TLS(server(is.good, nil))}, Security{}, "is TLS missing?"},
		"TLS where plaintext is spoken":     {[]kfake.Opt{kfake.ListenFn(listenAsKafka)}, Security{TLS: trusting(is.authority)}, "no answer to TLS"},
		"a wrong password, PLAIN":           {users, Security{Login: Plain, User: "shop", Password: "guess"}, `"shop" by PLAIN`},
		"a wrong password, SCRAM":           {users, Security{Login: ScramSHA512, User: "shop", Password: "guess"}, `"shop" by SCRAM-SHA-512`},
		"a mechanism that isn't there":      {users, Security{Login: ScramSHA256, User: "shop", Password: "secret"}, "SCRAM-SHA-256"},
		"nobody where a login is asked for": {users, Security{}, "SASL"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := kafka(t, 1, test.broker...)
			c.Security = test.ours
			wantRefusal(t, c, test.want)
		})
	}
}

// listenAsKafka listens for a broker that hangs up at a request of more than 100 MiB, as Kafka does: that is what the first bytes of
// TLS look like to it, and kfake would wait for them.
func listenAsKafka(network, address string) (net.Listener, error) {
	l, err := net.Listen(network, address)
	return wary{l}, err
}

type wary struct{ net.Listener }

func (w wary) Accept() (net.Conn, error) {
	c, err := w.Listener.Accept()
	return &waryConn{c}, err
}

type waryConn struct{ net.Conn }

// Read is how kfake reads: the four bytes of a request's size by themselves.
func (c *waryConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n == 4 && len(p) == 4 && binary.BigEndian.Uint32(p) > 100<<20 {
		return 0, errors.New("a request that is too large")
	}
	return n, err
}

func wantRefusal(t *testing.T, c Connection, want string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	_, err := c.Cluster(ctx)
	if err == nil || ctx.Err() != nil || !strings.Contains(err.Error(), want) {
		t.Errorf("it says %v, want %q in it, and before the context ends: %v", err, want, ctx.Err())
	}
}

// Kafka says that a login failed, where kfake hangs up.
func TestALoginThatKafkaRefuses(t *testing.T) {
	for want, refused := range map[string]*kerr.Error{
		`refuses the login of "shop" by PLAIN; user or password are wrong`: kerr.SaslAuthenticationFailed,
		"takes no login by PLAIN": kerr.UnsupportedSaslMechanism,
	} {
		key := kmsg.SASLAuthenticate
		if refused == kerr.UnsupportedSaslMechanism {
			key = kmsg.SASLHandshake
		}
		cluster := fake.Open(t, kfake.EnableSASL(), kfake.Superuser("PLAIN", "shop", "secret")).Cluster()
		cluster.ControlKey(int16(key), func(r kmsg.Request) (kmsg.Response, error, bool) {
			cluster.KeepControl()
			answer := r.ResponseKind()
			switch answer := answer.(type) {
			case *kmsg.SASLAuthenticateResponse:
				answer.ErrorCode = refused.Code
			case *kmsg.SASLHandshakeResponse:
				answer.ErrorCode, answer.SupportedMechanisms = refused.Code, []string{"GSSAPI"}
			}
			return answer, nil, true
		})
		wantRefusal(t, Connection{Brokers: cluster.ListenAddrs(), Security: Security{Login: Plain, User: "shop", Password: "guess"}}, want)
	}
}

func TestACertificateIsOutOfDate(t *testing.T) {
	now := time.Now()
	pair := stockflowtest.NewAuthority(t).Sign("stockflow", now.Add(time.Hour)).Pair
	for want, is := range map[string]string{
		"":                   Outdated(&pair, now),
		"has expired at":     Outdated(&pair, now.Add(2*time.Hour)),
		"isn't valid before": Outdated(&pair, now.Add(-48*time.Hour)),
	} {
		if !strings.HasPrefix(is, want) || (is == "") != (want == "") {
			t.Errorf("it is %q, expected %q", is, want)
		}
	}
	if is := Outdated(nil, now) + Outdated(&tls.Certificate{}, now); is != "" {
		t.Errorf("where there is none, it %s", is)
	}
}

func TestSecurityIsChecked(t *testing.T) {
	for want, s := range map[string]Security{
		"no mechanism":           {User: "shop"},
		"a user and a password":  {Login: Plain, User: "shop"},
		`no login by "KERBEROS"`: {Login: "KERBEROS", User: "shop", Password: "secret"},
	} {
		wantError(t, s.Check(), want)
	}
	if err := (Security{Login: ScramSHA512, User: "shop", Password: "secret"}).Check(); err != nil {
		t.Error(err)
	}
}
