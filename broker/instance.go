package broker

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"stockflow/journal/files"
)

// Instance returns the id by which the groups of a Kafka know the process that has a data directory: what stands in file,
// which is made where there is none. A process that was killed and comes back with it has its partitions back at once. It is
// no part of a backup: of two processes with one id, the groups take the later one only.
func Instance(fsys files.FS, file string) (string, error) {
	text, err := files.ReadFile(fsys, file)
	if errors.Is(err, fs.ErrNotExist) {
		text = []byte("stockflow-" + strings.ToLower(rand.Text()) + "\n")
		err = files.Replace(fsys, file, text)
	}
	id := strings.TrimSpace(string(text))
	if err == nil && !isInstance(id) {
		err = fmt.Errorf("%.100q is no id; remove the file to have a new one", id)
	}
	if err != nil {
		return "", fmt.Errorf("the id among the members of groups, in %s: %w", file, err)
	}
	return id, nil
}

// isInstance reports whether Kafka takes an id.
func isInstance(id string) bool {
	return id != "" && len(id) <= 249 && strings.Trim(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == ""
}
