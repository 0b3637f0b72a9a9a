package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"
)

// How a mail server is spoken to.
const (
	TLSAuto   = ""         // TLSDirect on port 465, else TLSStart
	TLSStart  = "starttls" // in the clear at first, then encrypted; a server that can't is not spoken to
	TLSPlain  = "none"     // in the clear
	TLSDirect = "tls"      // encrypted from the first byte
)

// SMTP is an outlet to a mail server. Each e-mail has a connection of its own, so what becomes of one harms no other.
type SMTP struct {
	host           string
	port           int
	security       string
	user, password string
	helo           string
	roots          *x509.CertPool // nil for those of the system
	patience       time.Duration  // how long a conversation may take
}

// conversationTime is how long a mail server may take for an e-mail, from the connection to its last word.
const conversationTime = time.Minute

// NewSMTP returns an outlet to the server at HOST or HOST:PORT. Without a user it doesn't log in. Its errors name what
// is wrong with the settings; whether the server is there is found out by the first e-mail.
func NewSMTP(address, security, user, password string) (*SMTP, error) {
	s := &SMTP{security: security, user: user, password: password, helo: "localhost", patience: conversationTime}
	if name, err := os.Hostname(); err == nil {
		s.helo = name
	}
	if err := s.locate(address); err != nil {
		return nil, err
	}
	if s.security == TLSPlain && user != "" && !loopback(s.host) {
		return nil, fmt.Errorf("without TLS the password would go to %s in the clear", s.host)
	}
	return s, nil
}

// locate reads the address and settles the port and the kind of TLS, each by the other if it was left out.
func (s *SMTP) locate(address string) (err error) {
	s.host = strings.TrimSuffix(strings.TrimPrefix(address, "["), "]")
	if host, port, splitErr := net.SplitHostPort(address); splitErr == nil {
		s.host = host
		if s.port, err = strconv.Atoi(port); err != nil || s.port < 1 || s.port > 65535 {
			return fmt.Errorf("%q is not a port", port)
		}
	}
	if s.host == "" || strings.ContainsAny(s.host, "/ ") {
		return fmt.Errorf("%q is not HOST:PORT", address)
	}
	switch {
	case s.security == TLSAuto && s.port == 465:
		s.security = TLSDirect
	case s.security == TLSAuto:
		s.security = TLSStart
	}
	if s.port == 0 {
		s.port = map[string]int{TLSDirect: 465, TLSStart: 587, TLSPlain: 25}[s.security]
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Send hands a letter to the server. The e-mail counts as taken when the server has said so, whatever follows.
func (s *SMTP) Send(ctx context.Context, l Email) error {
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	client, err := s.client(ctx)
	if err != nil {
		return refuse(err.Error()) // a setting that the library doesn't take; the first sample would have failed
	}
	msg := l.compose()
	err = client.DialAndSendWithContext(ctx, msg)
	if msg.IsDelivered() {
		return nil
	}
	if err == nil {
		err = errors.New("the mail server did not say whether it took the e-mail")
	}
	return classify(err)
}

// client returns a client for one conversation, which ends when ctx does, wherever it is then.
func (s *SMTP) client(ctx context.Context) (*gomail.Client, error) {
	options := []gomail.Option{
		gomail.WithPort(s.port), gomail.WithHELO(s.helo), gomail.WithTimeout(s.patience),
		gomail.WithTLSConfig(s.tls()), gomail.WithoutNoop(), gomail.WithDialContextFunc(s.dialer(ctx)),
	}
	switch s.security {
	case TLSDirect:
		options = append(options, gomail.WithSSL())
	case TLSPlain:
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS))
	default:
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	}
	if s.user != "" {
		// The library sends a password as it is only over TLS, or to this machine.
		options = append(options, gomail.WithUsername(s.user), gomail.WithPassword(s.password),
			gomail.WithOpportunisticSMTPAuth(gomail.SMTPAuthSCRAMSHA256, gomail.SMTPAuthPlain, gomail.SMTPAuthLogin))
	}
	return gomail.NewClient(s.host, options...)
}

func (s *SMTP) tls() *tls.Config {
	return &tls.Config{ServerName: s.host, MinVersion: tls.VersionTLS12, RootCAs: s.roots}
}

// dialer makes connections that are closed when the conversation's ctx ends. The library's own dial context ends with
// the dialling.
func (s *SMTP) dialer(conversation context.Context) gomail.DialContextFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		context.AfterFunc(conversation, func() { _ = conn.Close() })
		if s.security != TLSDirect {
			return conn, nil
		}
		secure := tls.Client(conn, s.tls())
		return secure, secure.HandshakeContext(ctx)
	}
}

// classify tells a refusal from what may go better another time. A server refuses an e-mail for good by a reply of the
// 500s to its sender, its recipient or its content. One that wants a login first says something about our settings,
// and everything before that about the server: all e-mails wait until it is mended.
func classify(err error) error {
	var said *gomail.SendError
	if !errors.As(err, &said) {
		return err
	}
	another := fmt.Errorf("%s: %s", said.Reason, words(said))
	code := said.ErrorCode()
	switch said.Reason {
	case gomail.ErrSMTPMailFrom, gomail.ErrSMTPRcptTo, gomail.ErrSMTPData, gomail.ErrSMTPDataClose:
	default:
		return another
	}
	if code < 500 || code > 599 || code == 530 || code == 534 || code == 535 || code == 538 {
		return another
	}
	return &Refused{Reason: words(said)}
}

// words is what the server said, out of what the library makes of it, which is the code and the rest in quotes.
func words(e *gomail.SendError) string {
	text := strings.TrimPrefix(e.Error(), e.Reason.String()+": ")
	for _, addition := range []string{", affected recipient(s): ", ", affected message ID: "} {
		text, _, _ = strings.Cut(text, addition)
	}
	code, rest, _ := strings.Cut(text, " ")
	if quoted, err := strconv.QuotedPrefix(rest); err == nil {
		rest, _ = strconv.Unquote(quoted) // it was found to be quoted
	}
	return code + " " + rest
}
