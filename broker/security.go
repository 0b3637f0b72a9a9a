package broker

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// Security is how the brokers are spoken to, and who says so. The zero value speaks plaintext and is nobody.
type Security struct {
	TLS            *tls.Config // nil is plaintext
	Login          Login       // "" is none: nobody, or whoever the client certificate names
	User, Password string
}

// Login is a mechanism of SASL, by its name there.
type Login string

// The logins.
const (
	Plain       Login = "PLAIN" // sends the password as it is: only over TLS is it a secret
	ScramSHA256 Login = "SCRAM-SHA-256"
	ScramSHA512 Login = "SCRAM-SHA-512"
)

// Check returns what is wrong, before anything is connected.
func (s Security) Check() error {
	switch s.Login {
	case "":
		if s.User != "" || s.Password != "" {
			return errors.New("there is a user or a password, and no mechanism to log in by")
		}
		return nil
	case Plain, ScramSHA256, ScramSHA512:
		if s.User == "" || s.Password == "" {
			return fmt.Errorf("%s needs a user and a password", s.Login)
		}
		return nil
	}
	return fmt.Errorf("there is no login by %q", string(s.Login))
}

// mechanism is how to log in, nil if there is no login.
func (s Security) mechanism() sasl.Mechanism {
	switch s.Login {
	case Plain:
		return plain.Auth{User: s.User, Pass: s.Password}.AsMechanism()
	case ScramSHA256:
		return scram.Auth{User: s.User, Pass: s.Password}.AsSha256Mechanism()
	case ScramSHA512:
		return scram.Auth{User: s.User, Pass: s.Password}.AsSha512Mechanism()
	}
	return nil
}

// options are those of our own client.
func (s Security) options() (opts []kgo.Opt) {
	if s.TLS != nil {
		opts = append(opts, kgo.DialTLSConfig(s.TLS.Clone()))
	}
	if m := s.mechanism(); m != nil {
		opts = append(opts, kgo.SASL(m))
	}
	return opts
}

// Outdated says since when a certificate is not valid any more, or from when it will be: "has expired at ...", "isn't valid before ...". It is ""
// for one that is valid now.
func Outdated(pair *tls.Certificate, now time.Time) string {
	if pair == nil || len(pair.Certificate) == 0 { // there is none, which isn't too old
		return ""
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	switch {
	case err != nil: // what is wrong with it isn't its time
		return ""
	case now.After(leaf.NotAfter):
		return "has expired at " + leaf.NotAfter.UTC().Format(time.RFC3339)
	case now.Before(leaf.NotBefore):
		return "isn't valid before " + leaf.NotBefore.UTC().Format(time.RFC3339)
	}
	return ""
}

// own is the certificate that we show now, nil if there is none.
func (s Security) own() *tls.Certificate {
	switch {
	case s.TLS == nil:
	case s.TLS.GetClientCertificate != nil:
		pair, err := s.TLS.GetClientCertificate(&tls.CertificateRequestInfo{})
		if err == nil {
			return pair
		}
	case len(s.TLS.Certificates) > 0:
		return &s.TLS.Certificates[0]
	}
	return nil
}

// refusal is what a broker has against us that ends the TLS. Java's say the same of a certificate that has expired and of one that they don't
// know, so we look at it ourselves.
func (s Security) refusal() string {
	if wrong := Outdated(s.own(), time.Now()); wrong != "" {
		return "the broker refuses our certificate, which " + wrong
	}
	return "the broker refuses our certificate, or that there is none"
}

// Explain says in our words what is behind an error of a connection, where there are better ones than its own. It returns nil for nil.
func (c Connection) Explain(err error) error {
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var name x509.HostnameError
	var noTLS tls.RecordHeaderError
	var dialed *kgo.ErrFirstReadEOF
	var op *net.OpError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &unknown):
		return fmt.Errorf("the broker's certificate is of an authority that isn't trusted: %w", err)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fmt.Errorf("the broker's certificate has expired, or isn't valid yet: %w", err)
	case errors.As(err, &name):
		return fmt.Errorf("the broker's certificate is for another name: %w", err)
	case errors.As(err, &noTLS):
		return fmt.Errorf("the broker doesn't speak TLS on this port: %w", err)
	case errors.As(err, &op) && op.Op == "remote error":
		return fmt.Errorf("%s: %w", c.Security.refusal(), err)
	case errors.Is(err, kerr.SaslAuthenticationFailed):
		return fmt.Errorf("the broker refuses the login of %q by %s; user or password are wrong: %w", c.Security.User, c.Security.Login, err)
	case errors.Is(err, kerr.UnsupportedSaslMechanism):
		return fmt.Errorf("the broker takes no login by %s: %w", c.Security.Login, err)
	case c.Security.TLS != nil && (errors.As(err, &dialed) || op != nil && (op.Op == "read" || op.Timeout())):
		return fmt.Errorf("the broker has no answer to TLS, which it may not speak on this port: %w", err)
	case c.Security.TLS == nil && strings.Contains(err.Error(), "tls alert record"): // which is how Java answers; there is no type for it
		return fmt.Errorf("the broker speaks TLS on this port; is TLS missing? %w", err)
	case errors.Is(err, io.EOF) && c.Security.Login != "":
		return fmt.Errorf("the broker hung up at the login of %q by %s, or before: %w", c.Security.User, c.Security.Login, err)
	}
	return err
}
