package replay

import (
	"context"
	"errors"
)

// Fold folds the logs of tables from their start, and compares the rows with nothing: the report says how many there are, and
// their digests. Programs that fold alike come to the same ones on the same logs. The error is as that of Verify.
func (v Verification) Fold(ctx context.Context) (report *Report, err error) {
	w, err := v.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.end()) }()
	if err := w.collectLogs(ctx); err != nil {
		return nil, err
	}
	if err := w.each(ctx, (*part).fold); err != nil {
		return nil, err
	}
	for _, p := range w.parts {
		p.digest[1] = p.digest[0] // there is no other
		w.report.add(p)
	}
	return w.report, nil
}

// fold folds the part, and adds up its rows.
func (p *part) fold(ctx context.Context) error {
	if err := p.foldLog(ctx, p.log.end, func(Step) error { return nil }); err != nil {
		return err
	}
	defer p.rows.forget()
	return p.rows.all(kindFold, func(key string, row []byte) error {
		p.compared++
		p.digest[0].join(digestOfRow(key, row))
		return nil
	})
}
