package cli

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	compose "github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"

	"stockflow/journal/files"
	"stockflow/mail"
)

// house is the root of the tree, where stack.yml is.
const house = ".."

// profiles are what stack.yml can be started as, and how many brokers and Stockflows each has.
var profiles = map[string]struct{ brokers, stockflows int }{"single": {1, 1}, "cluster": {3, 2}, "zookeeper": {1, 1}}

// loadStack reads stack.yml as Docker Compose does, with its schema.
func loadStack(t *testing.T, profile string) *types.Project {
	t.Helper()
	options, err := compose.NewProjectOptions([]string{filepath.Join(house, "stack.yml")}, compose.WithProfiles([]string{profile}), compose.WithInterpolation(true))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return project
}

// inStack does something for each service of each profile.
func inStack(t *testing.T, do func(t *testing.T, p *types.Project, s types.ServiceConfig)) {
	t.Helper()
	for profile := range profiles {
		p := loadStack(t, profile)
		for name, service := range p.Services {
			t.Run(profile+"/"+name, func(t *testing.T) { do(t, p, service) })
		}
	}
}

func isStockflow(s types.ServiceConfig) bool { return s.Build != nil }
func isKafka(s types.ServiceConfig) bool     { return strings.HasPrefix(s.Image, "apache/kafka:") }

// TestTheStackHasWhatItsProfilesSay: so many brokers, so many Stockflows, and the default is one of them.
func TestTheStackHasWhatItsProfilesSay(t *testing.T) {
	t.Parallel()
	for profile, want := range profiles {
		brokers, stockflows := 0, 0
		for _, s := range loadStack(t, profile).Services {
			if isKafka(s) {
				brokers++
			}
			if isStockflow(s) {
				stockflows++
			}
		}
		if brokers != want.brokers || stockflows != want.stockflows {
			t.Errorf("%s has %d brokers and %d Stockflows", profile, brokers, stockflows)
		}
	}
	if _, known := profiles[assignments(t, ".env")["COMPOSE_PROFILES"]]; !known {
		t.Error(".env names no profile")
	}
}

var pinned = regexp.MustCompile(`^[a-z0-9./-]+:v?[0-9]+\.[0-9]+\.[0-9]+(-[a-z]+)?$`)

// TestTheStackIsPinned: images have whole versions, as shorter ones move, and Kafka's are those that the tests run.
func TestTheStackIsPinned(t *testing.T) {
	t.Parallel()
	inStack(t, func(t *testing.T, _ *types.Project, s types.ServiceConfig) {
		if !isStockflow(s) && !pinned.MatchString(s.Image) {
			t.Errorf("the image is %s", s.Image)
		}
		module := "kraft"
		if strings.Contains(s.Name, "zookeeper") {
			module = "zookeeper"
		}
		if isKafka(s) && !strings.Contains(text(t, "stockflowtest/kafka/"+module+"/pom.xml"), "<version>"+strings.TrimPrefix(s.Image, "apache/kafka:")+"</version>") {
			t.Errorf("the tests run another version than %s", s.Image)
		}
	})
}

// TestTheStackIsWatchedAndKept: each service says how it is and is started again, only this machine reaches its ports, and what
// it keeps is in a volume with a name or in the tree.
func TestTheStackIsWatchedAndKept(t *testing.T) {
	t.Parallel()
	published := map[string]string{}
	inStack(t, func(t *testing.T, p *types.Project, s types.ServiceConfig) {
		if s.HealthCheck == nil || len(s.HealthCheck.Test) < 2 || s.HealthCheck.Interval == nil || s.Restart == "" {
			t.Error("has no health check, or isn't started again")
		}
		for _, port := range s.Ports {
			at := p.Profiles[0] + " " + port.Published
			if other, taken := published[at]; taken || port.HostIP != "127.0.0.1" {
				t.Errorf("port %s is %s's, or open to the world: %q", port.Published, other, port.HostIP)
			}
			published[at] = s.Name
		}
		for _, v := range s.Volumes {
			_, declared := p.Volumes[v.Source]
			_, err := os.Stat(v.Source)
			if v.Type == types.VolumeTypeVolume && !declared || v.Type == types.VolumeTypeBind && (err != nil || !v.ReadOnly) {
				t.Errorf("volume %s: %v", v.Source, err)
			}
		}
		for other, how := range s.DependsOn {
			if _, there := p.Services[other]; !there || how.Condition != types.ServiceConditionHealthy && s.Name != "proxy" {
				t.Errorf("depends on %s, %s", other, how.Condition)
			}
		}
	})
}

// TestTheStackHasNoRightsToSpare: each service drops what its image doesn't need, and writes to its volumes and to memory only.
func TestTheStackHasNoRightsToSpare(t *testing.T) {
	t.Parallel()
	needs := map[string][]string{"zookeeper": {"CHOWN", "DAC_OVERRIDE", "SETGID", "SETUID"}} // whose image begins as root, and writes its settings
	inStack(t, func(t *testing.T, _ *types.Project, s types.ServiceConfig) {
		if s.Privileged || !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Equal(s.CapAdd, needs[s.Name]) {
			t.Errorf("drops %v and keeps %v", s.CapDrop, s.CapAdd)
		}
		if !slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
			t.Error("a program in it may get more rights than it was started with")
		}
		if s.ReadOnly == (needs[s.Name] != nil) {
			t.Errorf("read_only is %v", s.ReadOnly)
		}
	})
}

// TestTheStackTellsStockflowWhatItUnderstands: every STOCKFLOW_ variable is a flag's, with a value that it takes; what it names is
// in the profile; and where it answers is where it is asked.
func TestTheStackTellsStockflowWhatItUnderstands(t *testing.T) {
	image := assignments(t, "Dockerfile")
	inStack(t, func(t *testing.T, p *types.Project, s types.ServiceConfig) {
		if !isStockflow(s) {
			return
		}
		env := map[string]string{}
		for name, value := range s.Environment {
			env[name] = *value
		}
		for name, value := range image {
			if given, too := env[name]; too && given != value {
				t.Errorf("%s is %s in the image and %s here", name, value, given)
			}
			env[name] = value
		}
		serve := understood(t, env, "serve").Serve
		if _, err := serve.Mail.outlet(files.OS(), t.TempDir()); err != nil {
			t.Error(err)
		}
		if err := mail.CheckSender(serve.Mail.MailFrom); err != nil {
			t.Error(err)
		}
		wantService(t, p, serve.Mail.SMTP)
		if want := profiles[p.Profiles[0]].brokers; len(serve.Brokers) != want {
			t.Errorf("knows the brokers %v, expected %d", serve.Brokers, want)
		}
		for _, address := range serve.Brokers {
			broker := wantService(t, p, address)
			if !strings.Contains(kafkaSettings(t, p, broker)["advertised.listeners"], "INSIDE://"+address) {
				t.Errorf("%s doesn't say that it is at %s", broker.Name, address)
			}
		}
		_, port, _ := net.SplitHostPort(serve.HTTP)
		for _, published := range s.Ports {
			if fmt.Sprint(published.Target) != port {
				t.Errorf("port %d leads nowhere: HTTP is at %s", published.Target, port)
			}
		}
		if !strings.HasSuffix(understood(t, env, s.HealthCheck.Test[2:]...).Health.URL, ":"+port) || s.HealthCheck.Test[1] != "/stockflow" {
			t.Errorf("the health check is %v, and HTTP at port %s", s.HealthCheck.Test, port)
		}
		if !slices.ContainsFunc(s.Volumes, func(v types.ServiceVolumeConfig) bool { return v.Target == serve.Data }) {
			t.Errorf("%s is in no volume", serve.Data)
		}
	})
}

// understood reads a command line in an environment; a variable of ours that no flag has is an error.
func understood(t *testing.T, env map[string]string, args ...string) *commands {
	t.Helper()
	var c commands
	parser, err := newParser(&c, os.Stdout, os.Stderr, func(int) { t.Errorf("%q ends by itself", args) })
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, node := range parser.Model.Leaves(false) {
		for _, flag := range append(slices.Clone(parser.Model.Flags), node.Flags...) {
			for _, name := range flag.Envs {
				known[name] = known[name] || node.Name == "serve"
			}
		}
	}
	for name, value := range env {
		if strings.HasPrefix(name, "STOCKFLOW_") {
			if !known[name] {
				t.Errorf("serve has no flag for %s", name)
			}
			t.Setenv(name, value)
		}
	}
	if _, err := parser.Parse(args); err != nil {
		t.Errorf("%q isn't understood: %v", args, err)
	}
	return &c
}

// wantService returns the service that an address is of.
func wantService(t *testing.T, p *types.Project, address string) types.ServiceConfig {
	t.Helper()
	name, _, err := net.SplitHostPort(address)
	s, there := p.Services[name]
	if err != nil || !there {
		t.Errorf("there is nobody at %s: %v", address, err)
	}
	return s
}

// TestTheStackRunsTheKafkaThatIsTested: the settings are those of the tests; a broker that is alone has one replica.
func TestTheStackRunsTheKafkaThatIsTested(t *testing.T) {
	t.Parallel()
	tested := properties(text(t, "stockflowtest/kafka/server.properties"))
	inStack(t, func(t *testing.T, p *types.Project, s types.ServiceConfig) {
		if !isKafka(s) {
			return
		}
		settings := kafkaSettings(t, p, s)
		alone := profiles[p.Profiles[0]].brokers == 1
		for name, want := range tested {
			if alone && (strings.HasSuffix(name, "replication.factor") || strings.HasSuffix(name, "min.isr") || name == "min.insync.replicas") {
				want = "1"
			}
			if settings[name] != want {
				t.Errorf("%s=%s, and the tests run with %s", name, settings[name], want)
			}
		}
		for _, port := range s.Ports {
			outside := fmt.Sprintf("OUTSIDE://localhost:%s", port.Published)
			if !strings.HasSuffix(settings["advertised.listeners"], outside) || !strings.Contains(settings["listeners"], fmt.Sprintf("OUTSIDE://:%d", port.Target)) {
				t.Errorf("port %s is not where it says that it is: %s", port.Published, settings["advertised.listeners"])
			}
		}
		if !slices.ContainsFunc(s.Volumes, func(v types.ServiceVolumeConfig) bool {
			return v.Type == types.VolumeTypeVolume && v.Target == settings["log.dirs"]
		}) {
			t.Errorf("the log in %s is in no volume", settings["log.dirs"])
		}
	})
}

// kafkaSettings are those of a broker: in its environment, or in the file that it is started with.
func kafkaSettings(t *testing.T, p *types.Project, s types.ServiceConfig) map[string]string {
	t.Helper()
	if len(s.Entrypoint) > 0 {
		for _, v := range s.Volumes {
			if v.Target == s.Entrypoint[1] {
				file, _ := filepath.Rel(p.WorkingDir, v.Source)
				return properties(text(t, file))
			}
		}
		t.Errorf("%v is not in the container", s.Entrypoint)
	}
	settings := map[string]string{}
	for name, value := range s.Environment {
		if key, ours := strings.CutPrefix(name, "KAFKA_"); ours {
			settings[strings.ToLower(strings.ReplaceAll(key, "_", "."))] = *value
		}
	}
	return settings
}

func properties(text string) map[string]string {
	all := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, set := strings.Cut(strings.TrimSpace(line), "="); set && !strings.HasPrefix(name, "#") {
			all[name] = value
		}
	}
	return all
}

// text returns a file of the tree.
func text(t *testing.T, name string) string {
	t.Helper()
	all, err := os.ReadFile(filepath.Join(house, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(all)
}

var assigned = regexp.MustCompile(`([A-Z_]+)=(\S+)`)

// assignments are NAME=VALUE in a file, those of Dockerfile's ENV only.
func assignments(t *testing.T, name string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for line := range strings.Lines(text(t, name)) {
		if name == "Dockerfile" && !strings.HasPrefix(line, "ENV ") {
			continue
		}
		for _, found := range assigned.FindAllStringSubmatch(line, -1) {
			all[found[1]] = found[2]
		}
	}
	return all
}

// TestTheImage is built with the Go of go.mod, runs as nobody in particular, and is started and asked by commands that there are.
func TestTheImage(t *testing.T) {
	file := text(t, "Dockerfile")
	for _, want := range []string{"CGO_ENABLED=0", "\nUSER nonroot\n", "gcr.io/distroless/static-debian12:nonroot", `ENTRYPOINT ["/stockflow"]`} {
		if !strings.Contains(file, want) {
			t.Errorf("it has no %q", want)
		}
	}
	wanted := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(text(t, "go.mod"))[1]
	if !regexp.MustCompile(`(?m)^FROM golang:` + regexp.QuoteMeta(wanted) + `\.\d+ AS build$`).MatchString(file) {
		t.Errorf("it isn't built with Go %s", wanted)
	}
	for _, line := range []string{`CMD \["/stockflow", "(\w+)"\]`, `(?m)^CMD \["(\w+)"\]`} {
		found := regexp.MustCompile(line).FindStringSubmatch(file)
		if found == nil {
			t.Fatalf("there is no %s", line)
		}
		understood(t, assignments(t, "Dockerfile"), found[1])
	}
}
