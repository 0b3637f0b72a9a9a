package cli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"stockflow/broker"
	"stockflow/replay"
)

// cluster is how brokers of others are reached. Without any, none of the rest may be given.
type cluster struct {
	brokers  []string
	security securityFlags
}

// securityFlags say how to speak to the brokers, and who we are. Secrets come from files.
type securityFlags struct {
	TLS          bool   `help:"Speak TLS to the brokers." name:"tls"`
	CA           string `help:"PEM file with the authorities that may sign the brokers' certificates; the system's if left out." placeholder:"FILE" name:"ca"`
	Cert         string `help:"PEM file with our certificate, for brokers that ask for one." placeholder:"FILE"`
	Key          string `help:"PEM file with its key." placeholder:"FILE"`
	ServerName   string `help:"Name in the brokers' certificates, if it isn't the one by which they are reached." placeholder:"NAME" name:"server-name"`
	SASL         string `help:"How to log in: plain, scram-sha-256 or scram-sha-512." enum:",plain,scram-sha-256,scram-sha-512" default:"" name:"sasl"`
	User         string `help:"Name to log in with." placeholder:"NAME"`
	PasswordFile string `help:"File with the password." placeholder:"FILE" name:"password-file"`
}

// connection returns how to reach the brokers. Its errors name the flag.
func (c cluster) connection() (broker.Connection, error) {
	security, err := c.security.read()
	if err == nil && len(c.brokers) == 0 && c.security != (securityFlags{}) {
		err = errors.New("--brokers is missing: the other flags say how to speak to them")
	}
	return broker.Connection{Brokers: c.brokers, Security: security}, err
}

// connect reaches the brokers, and finds out what is wrong with the flags or with them.
func (c cluster) connect(ctx context.Context) (broker.Connection, error) {
	conn, err := c.connection()
	if err != nil {
		return conn, err
	}
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	id, err := conn.Cluster(ctx)
	if err == nil && strings.HasPrefix(id, broker.JournalCluster) {
		err = fmt.Errorf("--brokers: %s is the Kafka port of a Stockflow that keeps its logs in a journal: name its directory with --data", strings.Join(c.brokers, ","))
	}
	return conn, err
}

// read reads the files.
func (f securityFlags) read() (s broker.Security, err error) {
	if s.TLS, err = f.tls(); err != nil {
		return s, err
	}
	if (f.SASL == "") != (f.User == "") || (f.SASL == "") != (f.PasswordFile == "") {
		return s, errors.New("--brokers-sasl, --brokers-user and --brokers-password-file must be given together")
	}
	s.Login, s.User = broker.Login(strings.ToUpper(f.SASL)), f.User
	if f.PasswordFile != "" {
		if s.Password, err = passwordIn(f.PasswordFile); err != nil {
			return s, fmt.Errorf("--brokers-password-file: %w", err)
		}
	}
	return s, s.Check()
}

// tls returns nil for plaintext.
func (f securityFlags) tls() (*tls.Config, error) {
	if !f.TLS {
		if f.CA+f.Cert+f.Key+f.ServerName != "" {
			return nil, errors.New("--brokers-tls is missing: the other flags say how")
		}
		return nil, nil
	}
	c := &tls.Config{ServerName: f.ServerName, MinVersion: tls.VersionTLS12}
	if f.CA != "" {
		text, err := os.ReadFile(f.CA)
		if err != nil {
			return nil, fmt.Errorf("--brokers-ca: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("--brokers-ca: %s has no certificate in PEM", f.CA)
		}
	}
	return c, f.identify(c)
}

// identify adds our certificate. It is read again for each connection: whoever renews it needn't stop anything.
func (f securityFlags) identify(c *tls.Config) error {
	if (f.Cert == "") != (f.Key == "") {
		return errors.New("--brokers-cert and --brokers-key must be given together")
	}
	if f.Cert == "" {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		return fmt.Errorf("--brokers-cert and --brokers-key: %w", err)
	}
	// The brokers would refuse it, and most of them don't say why.
	if wrong := broker.Outdated(&pair, time.Now()); wrong != "" {
		return fmt.Errorf("--brokers-cert: the certificate in %s %s", f.Cert, wrong)
	}
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
		return &pair, err
	}
	return nil
}

// passwordIn reads a password, which ends with the line.
func passwordIn(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	password, _, _ := strings.Cut(string(text), "\n")
	if password = strings.TrimSuffix(password, "\r"); password == "" {
		return "", fmt.Errorf("%s has no password in its first line", file)
	}
	return password, nil
}

// checkAccess insists that the brokers allow what the roles do: what they don't would be an error here and there, for ever.
func (s *Server) checkAccess(ctx context.Context) error {
	if s.kafka == nil {
		return nil
	}
	var groups []string
	for _, m := range replay.Machines {
		if s.serve.does(m.Name) {
			groups = append(groups, m.Name)
		}
	}
	return broker.CheckAccess(ctx, *s.kafka, broker.Writing, topics(), groups...)
}

// groupTables are the tables of the groups that this process's roles are members of, by group.
func (s *Server) groupTables() map[string]string {
	tables := map[string]string{}
	for _, m := range replay.Machines {
		if s.serve.does(m.Name) {
			tables[m.Name] = m.Table
		}
	}
	return tables
}
