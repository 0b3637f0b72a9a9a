package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed" // for the document and its page
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"go.yaml.in/yaml/v4"
)

// What the API is, for programs and for people. The page has the document in it and loads nothing, so it can be read
// where there is no network; only what it is asked to try goes out, and to its own server.

//go:embed openapi.yaml
var openAPI []byte

//go:embed docs.html
var docsTemplate []byte

func (s *Server) openAPI(context.Context, struct{}) (reply, error) {
	return reply{status: http.StatusOK, body: sheet{"application/yaml", openAPI, nil}}, nil
}

func (s *Server) docs(context.Context, struct{}) (reply, error) {
	text, err := docsPage()
	if err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusOK, body: sheet{"text/html; charset=utf-8", text, headers{
		{"Content-Security-Policy", docsPolicy(text)}, {"Referrer-Policy", "no-referrer"},
	}}}, nil
}

// documentPlace is where the page has the document, as JSON.
const documentPlace = "{/* openapi.yaml as JSON */}"

// docsPage returns the page with the document in it.
var docsPage = sync.OnceValues(func() ([]byte, error) {
	var document any
	if err := yaml.Unmarshal(openAPI, &document); err != nil {
		return nil, fmt.Errorf("reading openapi.yaml: %w", err)
	}
	text, err := json.Marshal(document) // which writes < as \u003c, so that nothing in it ends the script
	if err != nil {
		return nil, fmt.Errorf("writing openapi.yaml as JSON: %w", err)
	}
	return bytes.Replace(docsTemplate, []byte(documentPlace), text, 1), nil
})

// inline finds the styles and scripts of a page. A script with a type is data and is not run.
var inline = regexp.MustCompile(`(?s)<(style|script)>(.*?)</(?:style|script)>`)

// docsPolicy lets the page run what is in it, ask its own server, and nothing else.
func docsPolicy(text []byte) string {
	allowed := map[string][]string{}
	for _, found := range inline.FindAllSubmatch(text, -1) {
		sum := sha256.Sum256(found[2])
		kind := string(found[1])
		allowed[kind] = append(allowed[kind], "'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'")
	}
	return "default-src 'none'; img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
		"style-src " + strings.Join(allowed["style"], " ") + "; script-src " + strings.Join(allowed["script"], " ")
}

// sheet is a body that is no JSON.
type sheet struct {
	contentType string
	text        []byte
	header      headers
}

func (p sheet) serve(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	p.header.set(h)
	h.Set("Content-Type", p.contentType)
	h.Set("Content-Length", strconv.Itoa(len(p.text)))
	h.Set("Cache-Control", "no-cache")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(p.text) // the error is that of a client that has gone
}
