"The wheel, built and installed into an empty environment, scores a real star from outside the checkout"
import os, subprocess, sys, venv, zipfile

def sh(*args, **kw):
    r = subprocess.run([str(a) for a in args], capture_output=True, text=True, **kw)
    assert r.returncode==0, f'{args}\n{r.stdout[-2000:]}{r.stderr[-2000:]}'
    return r.stdout

def test_wheel_installs_and_scores(root, tmp_path):
    env = {k:v for k,v in os.environ.items() if not k.startswith(('PYTHON','VIRTUAL_ENV'))}
    sh(sys.executable, '-m', 'build', '--wheel', '--outdir', tmp_path/'dist', root)
    whl, = (tmp_path/'dist').glob('*.whl')
    names = zipfile.ZipFile(whl).namelist()
    assert sum(n.startswith('stellar_gen/assets/') for n in names)==14
    assert not [n for n in names if not n.startswith(('stellar_gen/','stellar_gen-'))]
    venv.create(tmp_path/'env', with_pip=True)
    python = tmp_path/'env'/'bin'/'python'
    sh(python, '-m', 'pip', 'install', '-q', '--no-compile', '-c', root/'constraints.txt', whl, env=env)
    away = tmp_path/'away'
    away.mkdir()
    command = tmp_path/'env'/'bin'/'stellar_gen'
    star = sh(python, '-c', 'from stellar_gen.data import sample_paths; print(sample_paths()[1])', cwd=away, env=env).strip()
    assert star.startswith(str(tmp_path))
    sh(command, 'simulate', '--n', 150, '--out', 'survey', '-q', cwd=away, env=env)
    sh(command, 'train', 'survey', '--out', 'model', '--epochs', 1, '--device', 'cpu', '-q', cwd=away, env=env)
    for model in ('model','apogee-sim-16'):
        sh(command, 'score', model, star, '--out', 'scores.csv', cwd=away, env=env)
        assert '2M19485057+5005279' in (away/'scores.csv').read_text()
