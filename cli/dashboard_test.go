package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.yaml.in/yaml/v4"
)

// described are the metrics that a server has, each with its labels, whether they have been counted yet or not.
func described(server *Server) map[string][]string {
	descs := make(chan *prometheus.Desc)
	go func() {
		server.registry.Describe(descs)
		close(descs)
	}()
	all := map[string][]string{}
	for d := range descs {
		found := regexp.MustCompile(`fqName: "(\w+)".*constLabels: \{.*\}, variableLabels: \{(.*)\}`).FindStringSubmatch(d.String())
		if found != nil {
			all[found[1]] = regexp.MustCompile(`\w+`).FindAllString(found[2], -1)
		}
	}
	return all
}

var (
	metricNames = regexp.MustCompile(`\b(?:stockflow|process|go)_\w+|\bup\b`)
	grouping    = regexp.MustCompile(`by \(([^)]*)\)`)
	inLegend    = regexp.MustCompile(`\{\{\s*(?:\$labels\.)?(\w+)\s*\}\}`)
	suffixes    = regexp.MustCompile(`_(bucket|sum|count)$`)
)

// wantExpression expects every metric in an expression to be one, and the labels that are asked for to be of its own or
// of Prometheus.
func wantExpression(t *testing.T, metrics map[string][]string, expression, legend string) {
	t.Helper()
	labels := []string{"le", "instance", "job"}
	names := metricNames.FindAllString(expression, -1)
	for _, name := range names {
		own, there := metrics[name]
		if !there {
			own, there = metrics[suffixes.ReplaceAllString(name, "")]
		}
		if !there && name != "up" {
			t.Errorf("there is no metric %s, in %s", name, expression)
		}
		labels = append(labels, own...)
	}
	asked := inLegend.FindAllStringSubmatch(legend, -1)
	for _, group := range grouping.FindAllStringSubmatch(expression, -1) {
		for label := range strings.SplitSeq(group[1], ",") {
			asked = append(asked, []string{"", strings.TrimSpace(label)})
		}
	}
	for _, label := range asked {
		if label[1] != "value" && !slices.Contains(labels, label[1]) {
			t.Errorf("%v have no label %s, in %s", names, label[1], expression)
		}
	}
	if len(names) == 0 {
		t.Errorf("%q asks for nothing of ours", expression)
	}
}

// TestTheDashboardAsksForWhatThereIs, and so do the alerts.
func TestTheDashboardAsksForWhatThereIs(t *testing.T) {
	t.Parallel()
	server, _ := open(t, t.TempDir())
	metrics := described(server)
	var dashboard struct {
		UID    string
		Panels []struct {
			ID         int
			Title      string
			Datasource struct{ UID string }
			GridPos    struct{ X, W int }
			Targets    []struct{ Expr, LegendFormat string }
		}
	}
	read(t, "grafana/dashboards/stockflow.json", json.Unmarshal, &dashboard)
	seen := map[int]bool{}
	for _, p := range dashboard.Panels {
		if seen[p.ID] || p.GridPos.X+p.GridPos.W > 24 || p.Datasource.UID != "prometheus" || len(p.Targets) == 0 {
			t.Errorf("panel %d, %s, stands wrong: %v", p.ID, p.Title, p)
		}
		seen[p.ID] = true
		for _, target := range p.Targets {
			wantExpression(t, metrics, target.Expr, target.LegendFormat)
		}
	}
	var alerts struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr string
				Annotations map[string]string
			}
		}
	}
	read(t, "alerts.yml", yaml.Unmarshal, &alerts)
	for _, rule := range alerts.Groups[0].Rules {
		wantExpression(t, metrics, rule.Expr, rule.Annotations["summary"])
	}
	if len(dashboard.Panels) < 10 || len(alerts.Groups[0].Rules) < 5 {
		t.Errorf("there are %d panels and %d alerts", len(dashboard.Panels), len(alerts.Groups[0].Rules))
	}
}

// TestEveryMetricIsDocumented in docs/operations.md, with its labels.
func TestEveryMetricIsDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(house, "docs", "operations.md"))
	must(t, err)
	server, _ := open(t, t.TempDir())
	for name, labels := range described(server) {
		if !strings.HasPrefix(name, "stockflow_") {
			continue
		}
		row := regexp.MustCompile("(?m)^\\| (`stockflow_\\w+`, )*`" + name + "`.*$").FindString(string(text))
		for _, label := range append(labels, name) {
			if !strings.Contains(row, "`"+label+"`") {
				t.Errorf("docs/operations.md has no %s of the metric %s, in %q", label, name, row)
			}
		}
	}
}

// TestGrafanaFindsItsDashboard: the files that tell it where things are agree with each other, and with the stack.
func TestGrafanaFindsItsDashboard(t *testing.T) {
	t.Parallel()
	var sources struct {
		Datasources []struct{ UID, URL string }
	}
	read(t, "grafana/provisioning/datasources/prometheus.yml", yaml.Unmarshal, &sources)
	if s := sources.Datasources[0]; s.UID != "prometheus" || s.URL != "http://prometheus:9090" {
		t.Errorf("the data are of %v", s)
	}
	var folders struct {
		Providers []struct {
			Options struct{ Path string }
		}
	}
	read(t, "grafana/provisioning/dashboards/stockflow.yml", yaml.Unmarshal, &folders)
	grafana := loadStack(t, "single").Services["grafana"]
	mounted := false
	for _, v := range grafana.Volumes {
		mounted = mounted || v.Target == folders.Providers[0].Options.Path && filepath.Base(v.Source) == "dashboards"
	}
	home := *grafana.Environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
	if !mounted || home != filepath.Join(folders.Providers[0].Options.Path, "stockflow.json") {
		t.Errorf("the dashboards are looked for in %s, home is %s", folders.Providers[0].Options.Path, home)
	}
}

// read reads a file of stack/.
func read(t *testing.T, name string, parse func([]byte, any) error, into any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(house, "stack", name))
	if err == nil {
		err = parse(text, into)
	}
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}
