package cli

import (
	"context"
	"fmt"
	"path/filepath"

	"stockflow/engine"
	"stockflow/journal/files"
	"stockflow/mail"
)

// mailFlags say how e-mails are sent.
type mailFlags struct {
	SMTP             string `help:"Mail server for e-mails to customers; without one, each is a file in DATA/outbox." placeholder:"HOST:PORT" name:"smtp"`
	SMTPUser         string `help:"Name to log in with at the mail server." name:"smtp-user"`
	SMTPPasswordFile string `help:"File with the password." placeholder:"FILE" name:"smtp-password-file"`
	SMTPTLS          string `help:"How the mail server is spoken to: starttls, tls or none. If left out, tls on port 465 and starttls on any other." enum:",starttls,tls,none" default:"" name:"smtp-tls"`
	MailFrom         string `help:"Sender of the e-mails, NAME <ADDRESS> or ADDRESS. It must be given with --smtp." placeholder:"ADDRESS"`
	MailTemplates    string `help:"Directory of templates that take the place of those built in, such as confirmed.txt." placeholder:"DIR"`
}

// outboxSender is who writes the e-mails that stay on this machine.
const outboxSender = "Stockflow <stockflow@localhost>"

// outlet returns where e-mails go. Its errors name the flag.
func (f mailFlags) outlet(fsys files.FS, data string) (mail.Outlet, error) {
	switch {
	case f.SMTP == "" && (f.SMTPUser != "" || f.SMTPPasswordFile != "" || f.SMTPTLS != ""):
		return nil, fmt.Errorf("--smtp is missing: the other flags say how to speak to it")
	case f.SMTP == "":
		folder, err := mail.NewFolder(fsys, filepath.Join(data, "outbox"))
		if err != nil {
			return nil, fmt.Errorf("--data: %w", err)
		}
		return folder, nil
	case f.MailFrom == "":
		return nil, fmt.Errorf("--mail-from is missing: mail servers want to know who writes")
	case (f.SMTPUser == "") != (f.SMTPPasswordFile == ""):
		return nil, fmt.Errorf("--smtp-user and --smtp-password-file must be given together")
	}
	password, err := f.password()
	if err != nil {
		return nil, err
	}
	server, err := mail.NewSMTP(f.SMTP, f.SMTPTLS, f.SMTPUser, password)
	if err != nil {
		return nil, fmt.Errorf("--smtp: %w", err)
	}
	return server, nil
}

// password is "" without a file.
func (f mailFlags) password() (string, error) {
	if f.SMTPPasswordFile == "" {
		return "", nil
	}
	password, err := passwordIn(f.SMTPPasswordFile)
	if err != nil {
		return "", fmt.Errorf("--smtp-password-file: %w", err)
	}
	return password, nil
}

// writer returns who writes the e-mails. Its errors name the flag.
func (f mailFlags) writer() (*mail.Writer, error) {
	if f.MailFrom == "" {
		f.MailFrom = outboxSender
	}
	if err := mail.CheckSender(f.MailFrom); err != nil {
		return nil, fmt.Errorf("--mail-from: %w", err)
	}
	w, err := mail.NewWriter(f.MailFrom, f.MailTemplates)
	if err != nil {
		return nil, fmt.Errorf("--mail-templates: %w", err)
	}
	return w, nil
}

// prepareMail finds out what is wrong with the settings, before anything is begun.
func (s *Server) prepareMail(context.Context) (err error) {
	if !s.serve.does("notification") {
		return nil
	}
	if s.writer, err = s.serve.Mail.writer(); err != nil {
		return err
	}
	s.outlet, err = s.serve.Mail.outlet(s.files(), s.serve.Data)
	return err
}

// startMail sends what is queued, from the partitions of notification-events that this process owns.
func (s *Server) startMail(context.Context) error {
	if !s.serve.does("notification") || s.silent() {
		return nil
	}
	if !s.serve.does("api") { // which would follow it too
		s.start("outbox view", s.tables.Mails.Run)
	}
	emitter, err := engine.NewEmitter(s.outside, s.partitions)
	if err != nil {
		return err
	}
	s.parts = append(s.parts, part{"mail emitter", func() error { emitter.Close(); return nil }})
	sender := mail.New(mail.Config{
		Outbox: s.tables.Mails, Ownership: s.notifications, Emitter: emitter, Outlet: s.outlet, Writer: s.writer,
		Log: s.log, Registry: s.registry,
	})
	s.start("mail", sender.Run)
	return nil
}
