# Made by bench/make_docs.py of bench/figures.
set terminal svg size 900,380 font 'DejaVu Sans,11' background '#FFFFFF'
set style fill solid 0.9 noborder
set border 3 lc rgb '#555555'
set tics nomirror out tc rgb '#222222'
set grid ytics lc rgb '#DDDDDD' lw 1 lt 1
set yrange [0:1.2]
set ytics 0.2
set xrange [-0.6:5.6]
set ylabel 'part of the speed of memory' font ',11'
set arrow 1 from graph 0, first 1 to graph 1, first 1 nohead lc rgb '#333333' lw 1.5 dt 2 front
set label 1 'roofline' at graph 0.995, first 1.04 right font ',10' tc rgb '#333333'
set xtics ("forward\nchannels first" 0, "backward\nchannels first" 1, "inference\nchannels first" 2, "forward\nchannels last" 3, "backward\nchannels last" 4, "inference\nchannels last" 5)
$data0 << EOD
0.4702 0.09971 0.5066 0.1227
0.4671 0.1087 0.626 0.4106
0.8357 0.171 0.9104 0.5537
0.5996 0.3327 0.7449 0.2299
0.7873 0.3806 1.111 0.6784
0.9156 0.3832 0.8782 0.232
EOD
set multiplot title "{/=14 Batch normalization beside the speed of memory}\n{/=10 shapes of ResNet-50, batch 50, f32, one thread; geometric means, higher is faster}"
set tmargin at screen 0.7053
set bmargin at screen 0.1263
set title 'avx2-512k: AMD EPYC (family 23, model 1)' font ',11' noenhanced
set key at screen 0.98, 0.8526 horizontal samplen 1 font ',10'
plot $data0 using ($0 + -0.420):1:($0 + -0.420):($0 + -0.223):(0):1 with boxxyerror lc rgb '#0072B2' title 'unitvar', \
  $data0 using ($0 + -0.321):($1 + 0.035):(sprintf('%.2f', $1)) with labels font ',8' tc rgb '#444444' notitle, \
  $data0 using ($0 + -0.210):2:($0 + -0.210):($0 + -0.013):(0):2 with boxxyerror lc rgb '#E69F00' title 'oneDNN, same layout', \
  $data0 using ($0 + -0.111):($2 + 0.035):(sprintf('%.2f', $2)) with labels font ',8' tc rgb '#444444' notitle, \
  $data0 using ($0 + 0.000):3:($0 + 0.000):($0 + 0.197):(0):3 with boxxyerror lc rgb '#F0E442' title 'oneDNN, its best layout', \
  $data0 using ($0 + 0.099):($3 + 0.035):(sprintf('%.2f', $3)) with labels font ',8' tc rgb '#444444' notitle, \
  $data0 using ($0 + 0.210):4:($0 + 0.210):($0 + 0.407):(0):4 with boxxyerror lc rgb '#CC79A7' title 'PyTorch, warm heap', \
  $data0 using ($0 + 0.309):($4 + 0.035):(sprintf('%.2f', $4)) with labels font ',8' tc rgb '#444444' notitle
unset multiplot
