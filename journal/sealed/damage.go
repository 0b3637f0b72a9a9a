package sealed

import (
	"errors"
	"fmt"
	"io"
)

// DamageError says that a file does not hold what was written to it.
type DamageError struct {
	File     string
	Position int64 // of the part of the file that is wrong, in bytes from its start
	What     string
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("%s: damaged at byte %d: %s", e.File, e.Position, e.What)
}

// readAt reads size bytes at a position of the file. That they are not all there is damage; other errors are those of the disk.
func (r *Reader) readAt(position, size int64) ([]byte, error) {
	b := make([]byte, size)
	switch n, err := r.file.ReadAt(b, position); {
	case int64(n) == size:
		return b, nil
	case err == nil || errors.Is(err, io.EOF):
		return nil, r.damage(position, "the file ends %d bytes early", size-int64(n))
	default:
		return nil, fmt.Errorf("read %s at byte %d: %w", r.file.Name(), position, err)
	}
}

func (r *Reader) damage(position int64, format string, args ...any) error {
	return &DamageError{r.file.Name(), position, fmt.Sprintf(format, args...)}
}
