# Draws what script/scaling has measured, and the alpha-beta model of it, from 2 to 4,096 ranks. Run in a folder with
# exchange.csv (ranks, bytes, us). The picture of docs/scaling.md is that of docs/images/exchange.csv, which holds the rows
# of its table, with alpha and beta from its text:
#   cd docs/images && gnuplot -e 'alpha = 6.1; beta = 0.000694' ../../bench/scaling.gnuplot
set datafile separator ','
set fit quiet
set fit logfile '/dev/null'

# Two ranks, one round: alpha + beta * bytes.
if (!exists('alpha')) {
  alpha = 5.0; beta = 0.001
  line(m) = alpha + beta * m
  fit line(x) 'exchange.csv' using ($1 == 2 ? $2 : NaN):3 via alpha, beta
}

frame = 33128.0     # 2,048 channels, the largest layer of ResNet-50
exchanges = 106.0   # 53 layers, forward and backward
rounds(p) = ceil(log(p) / log(2) - 1e-9)
tree(p, m) = rounds(p) * (alpha + beta * m)
ring(p, m) = 2 * (p - 1) * alpha + 2 * (p - 1) / p * beta * m
share(p, step_ms, t) = 100 * exchanges * t / (1e3 * step_ms + exchanges * t)

print sprintf('alpha %.2f us, beta %.4f ns/byte (%.2f GB/s)', alpha, beta * 1e3, 1e-3 / beta)
do for [p in "2 3 4 8 64 1024 4096"] {
  print sprintf('%s ranks: tree %.1f us, ring %.1f us; a step 1,000 ms: %.2f %%, 100 ms: %.2f %%', p, \
    tree(p + 0.0, frame), ring(p + 0.0, frame), share(p + 0.0, 1000, tree(p + 0.0, frame)), \
    share(p + 0.0, 100, tree(p + 0.0, frame)))
}

# As the pictures of `unitvar train` look.
set terminal pngcairo size 2240,1120 font 'DejaVu Sans,11' fontscale 2 linewidth 2 background rgb 'white'
set output 'scaling.png'
blue = '#0072B2'; orange = '#D55E00'; green = '#009E73'; pink = '#CC79A7'
set border 3 lc rgb '#555555'
set tics nomirror out tc rgb '#222222'
set grid xtics ytics lc rgb '#DDDDDD' lw 1 lt 1
set key bmargin center horizontal Left reverse samplen 2.5 height 1.2 width 1
set logscale xy
set xrange [1.7:4700]
set xtics ('2' 2, '4' 4, '8' 8, '16' 16, '32' 32, '64' 64, '128' 128, '256' 256, '512' 512, '1,024' 1024, '2,048' 2048, \
  '4,096' 4096) rotate by 45 right
set xlabel 'ranks (logarithmic)'
# At the powers of two: between them the tree takes as long as at the next.
set samples 12

set multiplot layout 1,2 title "{/=15 What an exchange among ranks costs}\n{/=11 measured on 2 cores, and modelled up to 4,096 ranks}"
set title 'one exchange of 33,128 bytes' font ',13' tc rgb '#111111'
set ylabel 'microseconds (logarithmic)'
set yrange [9.9:101000]
set ytics ('10' 10, '100' 100, '1,000' 1000, '10,000' 10000, '100,000' 100000)
plot sample [k=1:12] '+' using (2**k):(tree(2**k, frame)) title 'model: tree' with fsteps lw 2 lc rgb blue, \
     [k=1:12] '+' using (2**k):(ring(2**k, frame)) title 'model: ring' with lines lw 2 dt 2 lc rgb orange, \
     'exchange.csv' using ($2 == 33128 ? $1 : NaN):3 title 'measured (more than 2 ranks share the cores)' \
       with points pt 7 ps 1.3 lc rgb '#111111'
set title 'ResNet-50: 106 exchanges a step (tree)' font ',13' tc rgb '#111111'
set ylabel 'exchanges, percent of a step (logarithmic)'
set yrange [0.0099:101]
set ytics ('0.01' 0.01, '0.1' 0.1, '1' 1, '10' 10, '100' 100)
set arrow 1 from graph 0, first 5 to graph 1, first 5 nohead lc rgb '#333333' lw 1.5 dt 3 front
set label 1 '5 %' at graph 0.99, first 5 offset 0,0.6 right tc rgb '#333333' front
set key width -3
plot sample [k=1:12] '+' using (2**k):(share(2**k, 30, tree(2**k, frame))) title 'with 30 ms of other work' with fsteps lw 2 lc rgb pink, \
     [k=1:12] '+' using (2**k):(share(2**k, 100, tree(2**k, frame))) title 'with 100 ms of other work' with fsteps lw 2 lc rgb green, \
     [k=1:12] '+' using (2**k):(share(2**k, 1000, tree(2**k, frame))) title 'with 1 s of other work' with fsteps lw 2 lc rgb orange, \
     [k=1:12] '+' using (2**k):(share(2**k, 10000, tree(2**k, frame))) title 'with 10 s of other work' with fsteps lw 2 lc rgb blue
unset multiplot
