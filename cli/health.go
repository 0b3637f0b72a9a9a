package cli

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// health asks a running Stockflow how it is: for containers, which have no other program in them.
type health struct {
	URL     string        `help:"Where HTTP is answered." default:"http://127.0.0.1:8080" name:"url"`
	Alive   bool          `help:"Ask only whether it is alive, not whether it is ready."`
	Timeout time.Duration `help:"How long the answer may take." default:"4s"`
}

// Run returns an error that says what is waited for.
func (c health) Run() error {
	ctx, cancel := context.WithTimeout(context.Background(), c.Timeout)
	defer cancel()
	s := serving{url: strings.TrimSuffix(c.URL, "/")}
	if !c.Alive {
		return s.ready(ctx)
	}
	status, body, err := s.ask(ctx, "/livez")
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("%s is answered with %d %.200s", s.url, status, body)
	}
	return err
}
